package keys

import (
	"fmt"
	"slices"
)

// InspectTrustList reads a list whose identity is not at hand, checked by the card that it names for itself alone. Anybody can
// make such a list: what it says is to tell people where to look, and decides nothing.
func InspectTrustList(doc []byte) (*TrustList, error) {
	var wire trustJSON
	if _, err := openAs(doc, TrustListType, maxTrustList, &wire); err != nil {
		return nil, fmt.Errorf("inspect trust list: %w", err)
	}
	for _, line := range wire.Entries {
		if line.Card.ID != wire.Site {
			continue
		}
		card, err := line.Card.card()
		if err != nil {
			return nil, fmt.Errorf("inspect trust list: %w", err)
		}
		return ParseTrustList(doc, card, 0)
	}
	return nil, fmt.Errorf("inspect trust list: %w: it does not name its own site", ErrMalformed)
}

// RecoveryIdentities is the cards of the recovery identities that the list names for any bucket, each once.
func (t *TrustList) RecoveryIdentities() []Card {
	var cards []Card
	seen := make(map[SiteID]bool)
	for _, e := range t.entries {
		if e.live() && e.Role == Recovery && !seen[e.Card.ID] {
			seen[e.Card.ID] = true
			cards = append(cards, e.Card)
		}
	}
	return cards
}

// DepositPrefixes gives the prefixes below which sites deposit in a bucket, none for the whole bucket. Alike is false where they are
// not the same for all of these sites.
func (t *TrustList) DepositPrefixes(bucket string) (prefixes []string, alike bool) {
	of := make(map[SiteID][]string)
	for n := range t.entries {
		e := &t.entries[n]
		if !e.depositsIn(bucket) {
			continue
		}
		known, more := of[e.Card.ID]
		if len(e.Prefixes) == 0 || more && len(known) == 0 { // everything
			of[e.Card.ID] = nil
			continue
		}
		of[e.Card.ID] = append(known, e.Prefixes...)
	}
	alike = true
	first := true
	for _, p := range of {
		slices.Sort(p)
		p = slices.Compact(p)
		alike = alike && (first || slices.Equal(prefixes, p))
		prefixes, first = p, false
	}
	return prefixes, alike
}
