package proxy_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"cofre/internal/longtest"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
)

// race is many clients at work on a few keys, through all replicas of a site.
type race struct {
	*history
	sites     []*site
	bucket    string
	versioned bool // it was once; then a delete leaves a marker
	forgetful bool // the storage itself loses what it has acknowledged, and brings back what was deleted
	count     atomic.Int64
	told      atomic.Int64 // to try again

	versions sync.Map // version id -> *oneVersion, of the keys in which versions are deleted
}

// oneVersion is a version that somebody was told of.
type oneVersion struct {
	id      string
	etag    string
	deleted atomic.Bool // somebody has set out to delete it
}

var raceKeys = []string{"one", "two", "three"}

// replicas opens a site's store as so many processes do.
func replicas(t *testing.T, st *storage, n int) []*site {
	t.Helper()
	if n == 1 {
		return []*site{newSite(t, st, siteConfig{})}
	}
	url := postgrestest.Database(t)
	open := func() metadata.Store {
		store, err := postgres.Open(context.Background(), url, postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	}
	sites := []*site{newSite(t, st, siteConfig{store: open()})}
	for len(sites) < n {
		sites = append(sites, newSite(t, st, siteConfig{store: open(), identity: sites[0].identity}))
	}
	return sites
}

// TestNoHonestRaceRaisesAnAlarm has writers, deleters, copiers, readers and listers at work on the same few keys, in buckets with and without
// versions. Nobody is answered InternalError, nothing is counted as a finding, what is read is one writer's whole object, and no
// look shows what an acknowledged write had replaced before it began.
//
// RGW 16 with suspended versioning is held to less, since without cofre, and where writers take turns, it does the same: an acknowledged PUT
// is 404, a deleted object stays readable as version null, the index has a name a hundred times. Its history is not judged, and that
// what it brings back is refused is no fault. Bytes are still those of their ETag, and nobody is answered InternalError.
func TestNoHonestRaceRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]struct {
		storage  func(testing.TB) *storage
		replicas int
	}{"disk": {diskStorage, 1}, "rgw": {rgwStorage, 2}} {
		for _, versioning := range []string{"", "Enabled", "Suspended"} {
			t.Run(name+" "+versioning, func(t *testing.T) {
				t.Parallel()
				sites := replicas(t, where.storage(t), where.replicas)
				r := &race{history: newHistory(), sites: sites, versioned: versioning != "", forgetful: name == "rgw" && versioning == "Suspended"}
				r.bucket = sites[0].bucket(t, "races-"+strings.ToLower("v"+versioning))
				if versioning != "" {
					sites[0].version(t, r.bucket)
					sites[0].send(t, sub2("PUT", r.bucket, "", "versioning", "<VersioningConfiguration><Status>"+versioning+"</Status></VersioningConfiguration>")).want(t, 200, "")
				}
				for round := range longtest.Rounds(t, 1) {
					r.run(t, uint64(round), versioning == "Enabled")
				}
				r.settled(t)
				longtest.Figure(t, "racing operations", int(r.count.Load()))
				longtest.Figure(t, "looks held against the history", r.sights)
				t.Logf("told to try again: %d", r.told.Load())
			})
		}
	}
}

// run has six clients do forty things each.
func (r *race) run(t *testing.T, round uint64, enabled bool) {
	var wg sync.WaitGroup
	for worker := range uint64(6) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			dice := rand.New(rand.NewPCG(round, worker)) // a race that can be run again
			for range 40 {
				if t.Failed() {
					return
				}
				s := r.sites[dice.IntN(len(r.sites))]
				r.count.Add(1)
				if enabled && dice.IntN(4) == 0 {
					r.versionAct(t, s, dice)
					continue
				}
				r.act(t, s, dice, raceKeys[dice.IntN(len(raceKeys))])
			}
		}()
	}
	wg.Wait()
}

func (r *race) act(t *testing.T, s *site, dice *rand.Rand, key string) {
	switch dice.IntN(13) {
	case 0, 1, 2:
		r.put(t, s, dice, key)
	case 3, 4:
		r.remove(t, s, key, dice.IntN(3) == 0)
	case 5:
		r.copy(t, s, raceKeys[dice.IntN(len(raceKeys))], key)
	case 6:
		r.join(t, s, dice, key)
	case 7, 8, 9:
		r.read(t, s, key, "")
	case 10:
		r.read(t, s, key, fmt.Sprintf("bytes=%d-%d", dice.IntN(100), 100+dice.IntN(70_000)))
	case 11:
		r.head(t, s, key)
	default:
		r.list(t, s, dice.IntN(2) == 0)
	}
}

// saw holds a look against the history, where the storage keeps to one.
func (r *race) saw(t *testing.T, what, key string, start time.Duration, seen func(w *written) bool) {
	if !r.forgetful {
		r.history.saw(t, what, key, start, seen)
	}
}

// newBody is a body that nobody else writes.
func (r *race) newBody(dice *rand.Rand) (id, etag string, b []byte) {
	b = append([]byte(randomHex(8)), pattern([]int{0, 10, 1000, 65520, 65521, 140_000}[dice.IntN(6)])...)
	sum := md5.Sum(b)
	etag = hex.EncodeToString(sum[:])
	r.knows(etag, b)
	return string(b[:16]), etag, b
}

// refused takes an error that honest clients may meet in a race; anything else fails the test.
func (r *race) refused(t *testing.T, what, key string, err error, codes ...string) {
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "SlowDown", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict":
			r.told.Add(1)
			return
		}
		for _, c := range codes {
			if api.ErrorCode() == c {
				return
			}
		}
	}
	t.Errorf("%s of %q: %v", what, key, err)
}

func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}

func (r *race) put(t *testing.T, s *site, dice *rand.Rand, key string) *oneVersion {
	id, etag, b := r.newBody(dice)
	w := r.begins(key, id)
	out, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &r.bucket, Key: &key, Body: bytes.NewReader(b), Metadata: map[string]string{"id": id}})
	r.ends(w, etag, err == nil)
	if err != nil {
		r.refused(t, "PUT", key, err)
		return nil
	}
	if strings.Trim(*out.ETag, `"`) != etag {
		t.Errorf("PUT of %q answered ETag %s of other bytes", key, *out.ETag)
	}
	v := &oneVersion{id: id, etag: etag}
	if out.VersionId != nil {
		if *out.VersionId != "null" { // which the next write without versioning replaces
			r.versions.Store(*out.VersionId, v)
		}
	}
	return v
}

func (r *race) remove(t *testing.T, s *site, key string, many bool) {
	w := r.begins(key, "")
	var err error
	if many {
		var out *s3.DeleteObjectsOutput
		out, err = s.client.DeleteObjects(context.Background(), &s3.DeleteObjectsInput{Bucket: &r.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
		if err == nil && len(out.Errors) > 0 {
			err = &smithy.GenericAPIError{Code: *out.Errors[0].Code}
		}
	} else {
		_, err = s.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &r.bucket, Key: &key})
	}
	r.ends(w, "", err == nil)
	if err != nil {
		r.refused(t, "DELETE", key, err)
	}
}

// copy copies onto a key, or a key onto itself, under an id of its own.
func (r *race) copy(t *testing.T, s *site, from, to string) {
	id := randomHex(8)
	w, start := r.begins(to, id), r.now()
	out, err := s.client.CopyObject(context.Background(), &s3.CopyObjectInput{
		Bucket: &r.bucket, Key: &to, CopySource: str(r.bucket + "/" + from), MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"id": id},
	})
	if err != nil {
		if isCode(err, "NoSuchKey") {
			r.saw(t, "the source of a copy", from, start, nothing)
		} else {
			r.refused(t, "copy", to, err)
		}
		r.ends(w, "", false)
		return
	}
	r.ends(w, strings.Trim(*out.CopyObjectResult.ETag, `"`), true)
}

// join writes an object as an upload of one part.
func (r *race) join(t *testing.T, s *site, dice *rand.Rand, key string) {
	ctx := context.Background()
	id, _, b := r.newBody(dice)
	sum := md5.Sum(b)
	joined := md5.Sum(sum[:])
	etag := hex.EncodeToString(joined[:]) + "-1"
	r.knows(etag, b)
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &r.bucket, Key: &key, Metadata: map[string]string{"id": id}})
	if err != nil {
		r.refused(t, "Create", key, err)
		return
	}
	part, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &r.bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(b)})
	if err != nil {
		r.refused(t, "UploadPart", key, err)
		return
	}
	w := r.begins(key, id)
	other := r.sites[dice.IntN(len(r.sites))]
	_, err = other.client.CompleteMultipartUpload(ctx, completeInput(r.bucket, key, *up.UploadId, []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}))
	r.ends(w, etag, err == nil)
	if err != nil {
		r.refused(t, "Complete", key, err)
	}
}

// read reads an object, or a range of it.
func (r *race) read(t *testing.T, s *site, key, rng string) {
	start := r.now()
	in := &s3.GetObjectInput{Bucket: &r.bucket, Key: &key}
	if rng != "" {
		in.Range = &rng
	}
	out, err := s.client.GetObject(context.Background(), in)
	if err != nil {
		switch {
		case isCode(err, "NoSuchKey"):
			r.saw(t, "GET", key, start, nothing)
		default:
			r.refused(t, "GET", key, err, "InvalidRange")
		}
		return
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil {
		r.told.Add(1) // broken off: the object was replaced in the middle, and the client sees that
		return
	}
	r.saw(t, "GET", key, start, withID(out.Metadata["id"]))
	whole, known := r.body(strings.Trim(*out.ETag, `"`))
	if !known {
		t.Errorf("GET of %q has ETag %s, which nobody wrote", key, *out.ETag)
		return
	}
	if rng != "" {
		var from, to, total int
		if _, err := fmt.Sscanf(*out.ContentRange, "bytes %d-%d/%d", &from, &to, &total); err != nil || total != len(whole) || to >= total {
			t.Errorf("GET %s of %q: %s of %d bytes", rng, key, *out.ContentRange, len(whole))
			return
		}
		whole = whole[from : to+1]
	}
	if !bytes.Equal(got, whole) {
		t.Errorf("GET %s of %q gave %d bytes that are not those of its ETag", rng, key, len(got))
	}
}

func (r *race) head(t *testing.T, s *site, key string) {
	start := r.now()
	out, err := s.client.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: &r.bucket, Key: &key})
	switch {
	case isCode(err, "NotFound", "NoSuchKey"):
		r.saw(t, "HEAD", key, start, nothing)
	case err != nil:
		r.refused(t, "HEAD", key, err)
	default:
		r.saw(t, "HEAD", key, start, withID(out.Metadata["id"]))
		if whole, known := r.body(strings.Trim(*out.ETag, `"`)); !known || int64(len(whole)) != *out.ContentLength {
			t.Errorf("HEAD of %q: ETag %s and %d bytes are nobody's", key, *out.ETag, *out.ContentLength)
		}
	}
}

// list holds each entry of a listing against what was written.
func (r *race) list(t *testing.T, s *site, versions bool) {
	start, query := r.now(), "list-type=2"
	if versions {
		query = "versions="
	}
	got := s.send(t, request{method: "GET", bucket: r.bucket, query: query})
	if got.status != 200 {
		if got.code != "SlowDown" {
			t.Errorf("listing: %d %s", got.status, got.code)
		}
		return
	}
	var page listingPage
	if err := xml.Unmarshal(got.body, &page); err != nil {
		t.Errorf("listing: %v", err)
	}
	for _, e := range append(page.Contents, page.Version...) {
		etag := strings.Trim(e.ETag, `"`)
		if strings.HasSuffix(etag, "-0") {
			r.told.Add(1) // gone or changing when it was looked at
			continue
		}
		if whole, known := r.body(etag); !known || int64(len(whole)) != e.Size {
			t.Errorf("listing shows %q with ETag %s and %d bytes, which nobody wrote", e.Key, etag, e.Size)
		}
		if !versions && e.Key != versionKey {
			r.saw(t, "listing", e.Key, start, withETag(etag))
		}
	}
}

const versionKey = "versions"

// versionAct writes, reads or deletes a version by its id.
func (r *race) versionAct(t *testing.T, s *site, dice *rand.Rand) {
	if dice.IntN(3) == 0 {
		r.put(t, s, dice, versionKey)
		return
	}
	var id string
	var v *oneVersion
	skip := dice.IntN(8)
	r.versions.Range(func(k, x any) bool {
		id, v = k.(string), x.(*oneVersion)
		skip--
		return skip >= 0
	})
	if v == nil {
		return
	}
	ctx := context.Background()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.bucket, Key: str(versionKey), VersionId: &id})
	if isCode(err, "NoSuchVersion", "NoSuchKey") {
		return // another key's, or deleted
	}
	if err != nil {
		r.refused(t, "GET of version", id, err)
		return
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	whole, _ := r.body(v.etag)
	if err == nil && (!bytes.Equal(got, whole) || out.Metadata["id"] != v.id || aws.ToString(out.VersionId) != id) {
		t.Errorf("version %s is another object: %d bytes, version %s", id, len(got), aws.ToString(out.VersionId))
	}
	if dice.IntN(2) == 0 {
		v.deleted.Store(true)
		if _, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.bucket, Key: str(versionKey), VersionId: &id}); err != nil {
			r.refused(t, "DELETE of version", id, err)
		}
	}
}

// settled looks once more when all are done: every replica shows the same, each object is one that may stand there, and no
// version that nobody deleted is gone.
func (r *race) settled(t *testing.T) {
	for _, key := range raceKeys {
		for _, s := range r.sites {
			r.read(t, s, key, "")
			r.head(t, s, key)
			r.list(t, s, false)
			r.list(t, s, true)
		}
	}
	r.versions.Range(func(k, x any) bool {
		id, v := k.(string), x.(*oneVersion)
		if v.deleted.Load() {
			return true
		}
		found := false
		for _, key := range append([]string{versionKey}, raceKeys...) {
			out, err := r.sites[0].client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &r.bucket, Key: &key, VersionId: &id})
			if err != nil {
				continue
			}
			got, err := io.ReadAll(out.Body)
			out.Body.Close()
			whole, _ := r.body(v.etag)
			found = err == nil && bytes.Equal(got, whole) && out.Metadata["id"] == v.id
			break
		}
		if !found {
			t.Errorf("version %s was acknowledged, was deleted by nobody, and does not come back", id)
		}
		return true
	})
	for i, s := range r.sites {
		n := s.findings(t)
		if r.forgetful {
			n -= s.findings(t, "tombstoned")
		}
		if n != 0 {
			t.Errorf("replica %d counted %v findings in an honest race: %v", i, n, s.logs.FilterField(zap.String("code", "InternalError")).All())
		}
	}
}
