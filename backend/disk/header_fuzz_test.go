package disk

import (
	"maps"
	"testing"

	"cofre/s3api"
)

// FuzzStoredHeaders reads any bytes as what lies in the index, and holds that what was read is written so that it reads the same.
func FuzzStoredHeaders(f *testing.F) {
	f.Add(encodeHeader(map[string]string{"Content-Type": "text/plain", "X-Amz-Meta-A": "\xff\x00"}), encodeTags([]s3api.Tag{{Key: "a", Value: "1 &="}}))
	f.Add([]byte(`{"a":null}`), "")
	f.Add([]byte(`[]`), "a=b=c&&%zz")
	f.Fuzz(func(t *testing.T, header []byte, tags string) {
		if h, err := decodeHeader(header); err == nil {
			again, err := decodeHeader(encodeHeader(h))
			if err != nil || !maps.Equal(h, again) {
				t.Errorf("%q came back as %q, %v", h, again, err)
			}
		}
		if list, err := decodeTags(tags); err == nil {
			again, err := decodeTags(encodeTags(list))
			if err != nil || len(again) != len(list) {
				t.Errorf("%q came back as %q, %v", list, again, err)
			}
		}
	})
}
