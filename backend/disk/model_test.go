package disk_test

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"pgregory.net/rapid"
)

// modelKeys are few, so that they meet, and chosen for what prefixes and delimiters do to them.
var modelKeys = []string{"a", "a/", "a/b", "a/b/c", "a//", "a/b//c", "b", "b/\x01", "b/é", "/", "/a", "//", "a0", "a.", "\U0010ffff", "\U0010ffff/x"}

// TestStorageIsAMap plays random writes, copies, deletions and listings against a map.
func TestStorageIsAMap(t *testing.T) {
	c := withBucket(t)
	rapid.Check(t, func(rt *rapid.T) {
		model := map[string]string{}
		key := rapid.SampledFrom(modelKeys)
		body := rapid.StringN(0, 20, 40)
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, b := key.Draw(rt, "key"), body.Draw(rt, "body")
				put(t, c, k, []byte(b))
				model[k] = b
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &k}); err != nil {
					rt.Fatal(err)
				}
				delete(model, k)
			},
			"copy": func(rt *rapid.T) {
				from, to := key.Draw(rt, "from"), key.Draw(rt, "to")
				if _, ok := model[from]; !ok || from == to {
					return
				}
				copyObject(t, c, &s3.CopyObjectInput{Key: &to, CopySource: aws.String(bucket + "/" + escapeCopySource(from))})
				model[to] = model[from]
			},
			"get": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				got, _, err := get(t, c, &s3.GetObjectInput{Key: &k})
				want, ok := model[k]
				if ok != (err == nil) || string(got) != want {
					rt.Fatalf("key %q holds %q, %v; want %q", k, got, err, want)
				}
			},
			"list": func(rt *rapid.T) {
				prefix := rapid.SampledFrom([]string{"", "a", "a/", "a/b", "/", "b/", "zzz", "\U0010ffff"}).Draw(rt, "prefix")
				delimiter := rapid.SampledFrom([]string{"", "/", "//", "b"}).Draw(rt, "delimiter")
				limit := rapid.Int32Range(1, 5).Draw(rt, "limit")
				keys, prefixes := listPages(rt, c, prefix, delimiter, limit)
				wantKeys, wantPrefixes := listModel(model, prefix, delimiter)
				if !slices.Equal(keys, wantKeys) || !slices.Equal(prefixes, wantPrefixes) {
					rt.Fatalf("prefix %q, delimiter %q: %q and %q, want %q and %q", prefix, delimiter, keys, prefixes, wantKeys, wantPrefixes)
				}
			},
		})
		for k := range model {
			if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &k}); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func escapeCopySource(key string) string {
	var b bytes.Buffer
	for _, c := range []byte(key) {
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

func listPages(rt *rapid.T, c *s3.Client, prefix, delimiter string, limit int32) (keys, prefixes []string) {
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{
		Bucket: aws.String(bucket), Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &limit, EncodingType: "url"})
	for pages.HasMorePages() {
		page, err := pages.NextPage(rt.Context())
		if err != nil {
			rt.Fatal(err)
		}
		if n := len(page.Contents) + len(page.CommonPrefixes); n > int(limit) || (n == 0 && *page.IsTruncated) {
			rt.Fatalf("a page of %d", n)
		}
		for _, o := range page.Contents {
			keys = append(keys, unescape(rt, *o.Key))
		}
		for _, p := range page.CommonPrefixes {
			prefixes = append(prefixes, unescape(rt, *p.Prefix))
		}
	}
	return keys, prefixes
}

// unescape undoes encoding-type=url.
func unescape(rt *rapid.T, name string) string {
	raw, err := url.QueryUnescape(name)
	if err != nil {
		rt.Fatal(err)
	}
	return raw
}

func listModel(model map[string]string, prefix, delimiter string) (keys, prefixes []string) {
	for k := range model {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			prefixes = append(prefixes, k[:len(prefix)+i+len(delimiter)])
			continue
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	slices.Sort(prefixes)
	return keys, slices.Compact(prefixes)
}
