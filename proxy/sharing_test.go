package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/access"
	"cofre/keys"
	"cofre/proxy"
	"cofre/seal"
)

// members makes two sites that trust each other for all buckets, and a third that trusts both and is trusted by none. All are the same user
// of the storage: keys alone stand between them.
func members(t *testing.T, st *storage) (a, b, stranger *site) {
	t.Helper()
	a, b, stranger = newReader(t, st), newReader(t, st), newReader(t, st)
	a.trusts(t, b, "*", keys.Member)
	b.trusts(t, a, "*", keys.Member)
	stranger.trusts(t, a, "*", keys.Member)
	stranger.trusts(t, b, "*", keys.Member)
	return a, b, stranger
}

// sealedUnder gives the envelope that an object carries on the storage.
func (s *storage) sealedUnder(t *testing.T, bucket, key string) (seal.Envelope, []byte) {
	t.Helper()
	out, body := s.rawObject(t, bucket, key)
	envelope, err := seal.ParseEnvelope(out.Metadata["cofre-envelope"])
	if err != nil {
		t.Fatal(err)
	}
	return envelope, body
}

func TestUserMetadataOfSharedObjectsIsForMembersOnly(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b, stranger := members(t, st)
		bucket := a.bucket(t, "meta")
		note := map[string]string{"diagnosis": "none of a stranger's business"}
		if _, err := a.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: str("k"), Body: bytes.NewReader([]byte("body")),
			Metadata: note, ContentType: str("text/secret"), CacheControl: str("no-store")}); err != nil {
			t.Fatal(err)
		}
		head, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: str("k")})
		if err != nil || head.Metadata["diagnosis"] != note["diagnosis"] || *head.ContentType != "text/secret" || *head.CacheControl != "no-store" {
			t.Errorf("the member sees %+v, %v", head, err)
		}
		stranger.wantClosed(t, bucket, "k")
		answer := stranger.send(t, request{method: "HEAD", bucket: bucket, key: "k"})
		for name, values := range answer.header {
			if bytes.Contains([]byte(fmt.Sprint(name, values)), []byte("iagnosis")) || bytes.Contains([]byte(fmt.Sprint(values)), []byte("secret")) {
				t.Errorf("the stranger is told %s: %v", name, values)
			}
		}
		raw, _ := st.rawObject(t, bucket, "k")
		if len(raw.Metadata) != 2 || *raw.ContentType != "application/octet-stream" || aws.ToString(raw.CacheControl) != "" {
			t.Errorf("the storage keeps %v, %s", raw.Metadata, *raw.ContentType)
		}
	})
}

// TestCopiesOfAnotherSitesObjects: within a bucket the DEK stays under its KEK, whoever copies; across buckets it never does; and once
// the other site has left, what is said of an object is sealed under a key that it does not know.
func TestCopiesOfAnotherSitesObjects(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b, stranger := members(t, st)
		here, there := a.bucket(t, "here"), a.bucket(t, "there")
		body := pattern(200_000)
		etag := *a.put(t, here, "source", body).ETag
		source, sealed := st.sealedUnder(t, here, "source")
		copied := func(to, key string, readers ...*site) (seal.Envelope, []byte) {
			t.Helper()
			out, err := b.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &to, Key: &key, CopySource: str(here + "/source"),
				MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"by": "b"}})
			if err != nil || *out.CopyObjectResult.ETag != etag {
				t.Fatalf("%v, %v", out, err)
			}
			for _, s := range readers {
				if got := s.get(t, to, key); !bytes.Equal(got, body) {
					t.Errorf("a member reads %d bytes of %s", len(got), key)
				}
			}
			stranger.wantClosed(t, to, key)
			return st.sealedUnder(t, to, key)
		}
		if envelope, raw := copied(here, "copy", a, b); envelope.KEKID != source.KEKID || envelope.ObjectID != source.ObjectID || !bytes.Equal(raw, sealed) {
			t.Errorf("a copy within the bucket has object id %s under KEK %s", envelope.ObjectID, envelope.KEKID)
		}
		if envelope, raw := copied(there, "copy", a, b); envelope.KEKID == source.KEKID || envelope.ObjectID == source.ObjectID || bytes.Equal(raw[64:200], sealed[64:200]) {
			t.Errorf("a copy into another bucket has object id %s under KEK %s", envelope.ObjectID, envelope.KEKID)
		}

		b.leaves(t, here, a)
		if envelope, _ := copied(here, "later", b); envelope.KEKID == source.KEKID || envelope.ObjectID == source.ObjectID {
			t.Errorf("a copy of what lies under a closed KEK has object id %s under KEK %s", envelope.ObjectID, envelope.KEKID)
		}
		a.wantClosed(t, here, "later")
	})
}

// leaves has a site do all that ends another one's part in a bucket, at its own side.
func (s *site) leaves(t *testing.T, bucket string, other *site) {
	t.Helper()
	if report, err := s.handler.HealBucket(t.Context(), bucket, proxy.HealConfig{}); err != nil || report.Failed > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := s.trust.Distrust(other.identity.ID(), "*", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ring.Revoke(t.Context(), bucket, other.identity.ID()); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsCommittedUnderAKEKThatWasClosedMeanwhile: its body was on its way when somebody left, who has that key.
func TestNothingIsCommittedUnderAKEKThatWasClosedMeanwhile(t *testing.T) {
	st := diskStorage(t)
	var s *site
	closes := true
	s = newSite(t, st, siteConfig{wrap: func(next proxy.Backend) proxy.Backend {
		return beforePut{next, func(bucket string) {
			if !closes {
				return
			}
			if err := s.store.CloseKEKs(context.Background(), bucket); err != nil {
				t.Error(err)
			}
		}}
	}})
	bucket := s.bucket(t, "closed")
	put := func() error {
		_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: str("k"), Body: bytes.NewReader(pattern(100_000))})
		return err
	}
	wantCode(t, put(), "SlowDown")
	s.send(t, request{method: "GET", bucket: bucket, key: "k"}).want(t, 404, "NoSuchKey")
	closes = false
	s.ring.Forget(bucket) // instead of waiting until its state is read again
	if err := put(); err != nil {
		t.Error(err)
	}
}

// beforePut does something when the storage is about to be sent an object.
type beforePut struct {
	proxy.Backend
	act func(bucket string)
}

func (b beforePut) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if rq.Method == "PUT" && rq.Key == "k" {
		b.act(rq.Bucket)
	}
	return b.Backend.Do(ctx, as, rq)
}

func TestCustomerKeysUnderSharing(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b, stranger := members(t, st)
		bucket := a.bucket(t, "customer")
		mine, other := newCustomer(), newCustomer()
		body := pattern(100_000)
		if _, err := a.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: str("k"), Body: bytes.NewReader(body),
			SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.getWith(t, bucket, "k", mine); err != nil || !bytes.Equal(got, body) {
			t.Errorf("a member with the key reads %d bytes, %v", len(got), err)
		}
		_, err := b.getWith(t, bucket, "k", other)
		wantCode(t, err, "AccessDenied")
		_, err = stranger.getWith(t, bucket, "k", mine)
		wantCode(t, err, "AccessDenied") // the customer key alone opens nothing
		b.send(t, request{method: "GET", bucket: bucket, key: "k"}).want(t, 400, "InvalidRequest")
		// A copy out of the customer key is sealed anew, whoever makes it.
		if _, err := b.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: str("copy"), CopySource: str(bucket + "/k"),
			CopySourceSSECustomerAlgorithm: aes256, CopySourceSSECustomerKey: mine.key, CopySourceSSECustomerKeyMD5: mine.sum}); err != nil {
			t.Fatal(err)
		}
		source, _ := st.sealedUnder(t, bucket, "k")
		envelope, _ := st.sealedUnder(t, bucket, "copy")
		if envelope.ObjectID == source.ObjectID || envelope.KEKID == source.KEKID || envelope.Flags.Has(seal.CustomerKey) {
			t.Errorf("the copy's envelope is %+v", envelope)
		}
		if got := a.get(t, bucket, "copy"); !bytes.Equal(got, body) {
			t.Errorf("a reads %d bytes of the copy", len(got))
		}
	})
}

func TestPartsOfAnotherSitesObjects(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b, stranger := members(t, st)
		bucket := a.bucket(t, "parts")
		body := pattern(6 << 20)
		a.put(t, bucket, "source", body)
		up, err := b.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: str("joined")})
		if err != nil {
			t.Fatal(err)
		}
		first, err := b.client.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &bucket, Key: str("joined"), UploadId: up.UploadId,
			PartNumber: num(int32(1)), CopySource: str(bucket + "/source"), CopySourceRange: str("bytes=100-5300000")})
		if err != nil {
			t.Fatal(err)
		}
		last, err := b.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: str("joined"), UploadId: up.UploadId, PartNumber: num(int32(2)), Body: bytes.NewReader([]byte("end"))})
		if err != nil {
			t.Fatal(err)
		}
		// The state of an upload is its own site's: another knows nothing of it.
		_, err = a.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: str("joined"), UploadId: up.UploadId, PartNumber: num(int32(2)), Body: bytes.NewReader([]byte("x"))})
		wantCode(t, err, "NoSuchUpload")
		done, err := b.client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: str("joined"), UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
				{PartNumber: num(int32(1)), ETag: first.CopyPartResult.ETag}, {PartNumber: num(int32(2)), ETag: last.ETag}}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.get(t, bucket, "joined"); !bytes.Equal(got, append(bytes.Clone(body[100:5300001]), "end"...)) {
			t.Errorf("a reads %d bytes", len(got))
		}
		attrs, err := a.client.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: &bucket, Key: str("joined"),
			ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesEtag, types.ObjectAttributesObjectParts, types.ObjectAttributesObjectSize}})
		if err != nil || `"`+*attrs.ETag+`"` != *done.ETag || *attrs.ObjectParts.TotalPartsCount != 2 || *attrs.ObjectSize != 5299904 {
			t.Errorf("a is told %+v, %v", attrs, err)
		}
		stranger.wantClosed(t, bucket, "joined")
	})
}
