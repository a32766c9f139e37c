package s3api

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// table is a store of uploads, ordered by key and id.
type table []ListedUpload

func newTable(uploads ...ListedUpload) table {
	slices.SortFunc(uploads, func(a, b ListedUpload) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.UploadID, b.UploadID)
	})
	return uploads
}

func (tb table) fetch(prefix string, calls *int) func(string, string, int) ([]ListedUpload, error) {
	return func(keyMarker, idMarker string, limit int) ([]ListedUpload, error) {
		*calls++
		var page []ListedUpload
		for _, u := range tb {
			behind := u.Key > keyMarker || idMarker != "" && u.Key == keyMarker && u.UploadID > idMarker
			if strings.HasPrefix(u.Key, prefix) && behind && len(page) < limit {
				page = append(page, u)
			}
		}
		return page, nil
	}
}

// names gives the uploads and prefixes of a page in one form.
func names(r ListUploadsResult) []string {
	var out []string
	for _, u := range r.Uploads {
		out = append(out, u.Key+"|"+u.UploadID)
	}
	return append(out, r.CommonPrefixes...)
}

func TestCollectUploadsWalksEveryPage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.RuneFrom([]rune("ab/\U0010FFFF")), 1, 5, -1)
		seen := map[string]bool{}
		var uploads []ListedUpload
		for i := range rapid.IntRange(0, 20).Draw(t, "uploads") {
			u := ListedUpload{Key: key.Draw(t, "key"), UploadID: fmt.Sprint("id", i)}
			uploads = append(uploads, u)
		}
		tb := newTable(uploads...)
		req := ListUploadsRequest{
			Prefix: rapid.SampledFrom([]string{"", "a", "a/", "b/a"}).Draw(t, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "b/"}).Draw(t, "delimiter"),
			MaxUploads: rapid.IntRange(1, 4).Draw(t, "max"),
		}
		var want []string
		for _, u := range tb {
			if !strings.HasPrefix(u.Key, req.Prefix) {
				continue
			}
			if group, ok := commonPrefix(u.Key, req.Prefix, req.Delimiter); ok {
				if !seen[group] {
					want = append(want, group)
				}
				seen[group] = true
			} else {
				want = append(want, u.Key+"|"+u.UploadID)
			}
		}
		var got []string
		calls := 0
		for {
			page, err := CollectUploads(req, tb.fetch(req.Prefix, &calls))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.Uploads) + len(page.CommonPrefixes); n > req.MaxUploads || page.Truncated && n != req.MaxUploads {
				t.Fatalf("page of %d entries", n)
			}
			got = append(got, names(page)...)
			if calls > 200 {
				t.Fatal("no end")
			}
			if !page.Truncated {
				break
			}
			req.KeyMarker, req.UploadIDMarker = page.NextKeyMarker, page.NextUploadIDMarker
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestCollectUploadsLeapsOverPrefixes(t *testing.T) {
	var uploads []ListedUpload
	for i := range 5000 {
		uploads = append(uploads, ListedUpload{Key: fmt.Sprintf("a/%05d", i), UploadID: "u"})
	}
	uploads = append(uploads, ListedUpload{Key: "b", UploadID: "u"})
	calls := 0
	got, err := CollectUploads(ListUploadsRequest{Delimiter: "/", MaxUploads: 10}, newTable(uploads...).fetch("", &calls))
	if err != nil || calls > 3 || got.Truncated || !reflect.DeepEqual(names(got), []string{"b|u", "a/"}) {
		t.Errorf("%d calls: %q, %v", calls, names(got), err)
	}
	if got, err := CollectUploads(ListUploadsRequest{}, nil); err != nil || got.Truncated {
		t.Errorf("max-uploads=0: %+v, %v", got, err)
	}
	broken := errors.New("store is down")
	if _, err := CollectUploads(ListUploadsRequest{MaxUploads: 1}, func(string, string, int) ([]ListedUpload, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestParseListUploadsRequest(t *testing.T) {
	got, err := ParseListUploadsRequest(listCall(ListMultipartUploads, "uploads&prefix=p&delimiter=/&key-marker=k&upload-id-marker=i&max-uploads=5000&encoding-type=url"))
	if want := (ListUploadsRequest{Prefix: "p", Delimiter: "/", KeyMarker: "k", UploadIDMarker: "i", MaxUploads: 1000, URLEncode: true}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseListUploadsRequest(listCall(ListMultipartUploads, "upload-id-marker=i")); err != nil || got.UploadIDMarker != "" {
		t.Errorf("an id marker without key marker: %+v, %v", got, err)
	}
	for _, query := range []string{"max-uploads=x", "max-uploads=-1", "encoding-type=x"} {
		if _, err := ParseListUploadsRequest(listCall(ListMultipartUploads, query)); err == nil || err.Code != ErrInvalidArgument.Code {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestParseListPartsRequest(t *testing.T) {
	got, err := ParseListPartsRequest(listCall(ListParts, "uploadId=u&max-parts=2000&part-number-marker=7"))
	if want := (ListPartsRequest{UploadID: "u", MaxParts: 1000, PartNumberMarker: 7}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, query := range []string{"max-parts=x", "max-parts=-1", "part-number-marker=x", "part-number-marker=-1", "encoding-type=x"} {
		if _, err := ParseListPartsRequest(listCall(ListParts, query)); err == nil || err.Code != ErrInvalidArgument.Code {
			t.Errorf("%s: %v", query, err)
		}
	}
}
