package keys_test

import (
	"strings"
	"testing"

	"cofre/keys"
)

func TestDocumentNamesAreReadBackAndNothingElseIs(t *testing.T) {
	kek := keys.NewKEK("a.b-c", keys.SiteID{1}).ID()
	site := keys.SiteID{7}
	for name, want := range map[string]keys.DocumentName{
		keys.RecordName("a.b-c", kek):            {Bucket: "a.b-c", KEK: kek, Kind: keys.RecordDocument},
		keys.GrantName("a.b-c", kek, site):       {Bucket: "a.b-c", KEK: kek, Kind: keys.GrantDocument, Site: site},
		keys.EndorsementName("a.b-c", kek, site): {Bucket: "a.b-c", KEK: kek, Kind: keys.EndorsementDocument, Site: site},
	} {
		if got, ok := keys.ParseDocumentName(name); !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		for _, bad := range []string{
			"", name + "/", "/" + name, name[:len(name)-1], strings.ToUpper(name), strings.Replace(name, "a.b-c", "..", 1),
			strings.Replace(name, "a.b-c", "a/b", 1), strings.Replace(name, "/keks/", "/layouts/", 1), strings.Replace(name, kek.String(), kek.String()[1:], 1),
			strings.Replace(name, site.String(), site.String()[1:], 1) + "x",
		} {
			if got, ok := keys.ParseDocumentName(bad); ok {
				t.Errorf("%q was read as %+v", bad, got)
			}
		}
	}
}
