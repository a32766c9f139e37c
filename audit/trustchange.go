package audit

import (
	"fmt"
	"strings"

	"cofre/keys"
)

// maxChanges bounds the lines that one event names: a list that comes to an empty store is all of it new.
const maxChanges = 20

// trustChange says in what a trust list differs from the one before, nil for none. Lines are only ever added or withdrawn, so they
// are compared by their place.
func trustChange(before, after []byte) string {
	now, err := keys.InspectTrustList(after)
	if err != nil {
		return ""
	}
	var known []keys.TrustEntry
	if list, err := keys.InspectTrustList(before); err == nil && list.Site() == now.Site() {
		known = list.Entries()
	}
	var changes []string
	for i, e := range now.Entries() {
		switch {
		case i >= len(known) && e.Withdrawn.IsZero():
			changes = append(changes, describeLine(e, "trusted"))
		case i < len(known) && known[i].Withdrawn.IsZero() && !e.Withdrawn.IsZero():
			changes = append(changes, describeLine(e, "withdrawn"))
		}
	}
	if n := len(changes) - maxChanges; n > 0 {
		changes = append(changes[:maxChanges], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(changes, "; ")
}

func describeLine(e keys.TrustEntry, what string) string {
	text := fmt.Sprintf("%q %s %s for %s as %s", e.Card.Name, e.Card.ID, what, e.Bucket, e.Role)
	if len(e.Prefixes) > 0 {
		text += fmt.Sprintf(" below %q", e.Prefixes)
	}
	return text
}
