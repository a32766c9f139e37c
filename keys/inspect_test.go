package keys_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cofre/keys"
)

func TestDepositPrefixesAreToldOnlyWhereAllDepositorsHaveTheSame(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var sites []*keys.Identity
	for range 3 {
		id, err := keys.GenerateIdentity("site")
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, id)
	}
	list := keys.NewTrustList(sites[0], at)
	for _, line := range []struct {
		site     int
		bucket   string
		prefixes []string
		want     []string
		alike    bool
	}{
		{1, "other", []string{"x/"}, nil, true},
		{1, "b", []string{"in/"}, []string{"in/"}, true},
		{1, "*", []string{"also/"}, []string{"also/", "in/"}, true},
		{2, "b", []string{"in/", "also/"}, []string{"also/", "in/"}, true},
		{2, "b*", nil, nil, false}, // everywhere, whatever its other lines say
	} {
		if err := list.Trust(sites[line.site].Card(), line.bucket, keys.Deposit, at, line.prefixes...); err != nil {
			t.Fatal(err)
		}
		got, alike := list.DepositPrefixes("b")
		if alike != line.alike || alike && !cmp.Equal(line.want, got) {
			t.Errorf("with site %d in %s below %q: %q, %v", line.site, line.bucket, line.prefixes, got, alike)
		}
	}
}
