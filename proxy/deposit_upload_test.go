package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

func TestAnUploadOfADepositSiteTakesPartsOverAllItsReplicas(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newReader(t, st)
		d, replica := depositor(t, a, siteConfig{})
		elsewhere := newReader(t, st) // a member of a bucket that d reads
		d.trusts(t, elsewhere, "source*", keys.Member)
		b := a.bucket(t, "replicas")
		one, two := pattern(5<<20), pattern(123_456)

		id, first := d.upload(t, b, "in/k", one)
		part, err := replica.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: str("in/k"), UploadId: &id, PartNumber: aws.Int32(2), Body: bytes.NewReader(two)})
		if err != nil {
			t.Fatal(err)
		}
		row, err := d.store.Upload(t.Context(), b, "in/k", id)
		if err != nil || len(row.SealedDEK) == 0 {
			t.Fatalf("row %+v, %v", row, err)
		}
		list, err := replica.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &b, Key: str("in/k"), UploadId: &id})
		if err != nil || len(list.Parts) != 2 || *list.Parts[1].Size != int64(len(two)) {
			t.Fatalf("parts %+v, %v", list, err)
		}
		in := completeInput(b, "in/k", id, append(first, types.CompletedPart{ETag: part.ETag, PartNumber: aws.Int32(2)}))
		var etag string
		for _, s := range []*site{replica, d, replica} { // once more, at another replica too: the same answer
			out, err := s.client.CompleteMultipartUpload(t.Context(), in)
			if err != nil || etag != "" && *out.ETag != etag {
				t.Fatalf("complete: %+v, %v", out, err)
			}
			etag = *out.ETag
		}
		if row, err = d.store.Upload(t.Context(), b, "in/k", id); err != nil || len(row.SealedDEK) != 0 {
			t.Errorf("after Complete the row holds %d bytes of key, %v", len(row.SealedDEK), err)
		}
		if seen := a.wantEverywhere(t, b, "in/k", slices.Concat(one, two)); seen.ETag != etag {
			t.Errorf("ETag %s, answered %s", seen.ETag, etag)
		}

		id, _ = d.upload(t, b, "in/gone", two)
		if _, err := replica.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("in/gone"), UploadId: &id}); err != nil {
			t.Fatal(err)
		}
		if row, err := d.store.Upload(t.Context(), b, "in/gone", id); err == nil {
			t.Errorf("after Abort there is still %+v", row)
		}
	})
}

// TestADepositedUploadIsFreeOfItsKeyBeforeItsCompleteSucceeds: where the row cannot be cleared the client is told to send it again.
func TestADepositedUploadIsFreeOfItsKeyBeforeItsCompleteSucceeds(t *testing.T) {
	a := newReader(t, diskStorage(t))
	db, err := sqlite.Open(context.Background(), t.TempDir()+"/meta.db", sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store := &unfinishing{Store: db}
	d, _ := depositor(t, a, siteConfig{store: store})
	b := a.bucket(t, "unfinished")
	id, parts := d.upload(t, b, "in/k", []byte("body"))
	store.refuse.Store(true)
	_, err = d.client.CompleteMultipartUpload(t.Context(), completeInput(b, "in/k", id, parts))
	wantCode(t, err, "ServiceUnavailable")
	store.refuse.Store(false)
	if _, err := d.client.CompleteMultipartUpload(t.Context(), completeInput(b, "in/k", id, parts)); err != nil {
		t.Fatal(err)
	}
	if row, err := db.Upload(t.Context(), b, "in/k", id); err != nil || len(row.SealedDEK) != 0 {
		t.Errorf("the row holds %d bytes of key, %v", len(row.SealedDEK), err)
	}
	if got := a.get(t, b, "in/k"); string(got) != "body" {
		t.Errorf("%q", got)
	}
}

// TestAnAbortThatComesTooLateTakesTheKeyOfADeposit: the parts were joined, the answer was lost, and the client gives up.
func TestAnAbortThatComesTooLateTakesTheKeyOfADeposit(t *testing.T) {
	a := newReader(t, diskStorage(t))
	m := &meddler{}
	d, _ := depositor(t, a, siteConfig{wrap: func(b proxy.Backend) proxy.Backend {
		if m.Backend == nil { // the replica's is left alone
			m.Backend = b
			return m
		}
		return b
	}})
	b := a.bucket(t, "too-late")
	id, parts := d.upload(t, b, "in/k", []byte("body"))
	var lost atomic.Bool
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		lost.CompareAndSwap(false, isComplete(rq))
		if lost.Load() && rq.Key == "in/k" {
			if err == nil {
				resp.Body.Close()
			}
			return nil, proxy.ErrBackendUnavailable
		}
		return resp, err
	}
	_, err := d.client.CompleteMultipartUpload(t.Context(), completeInput(b, "in/k", id, parts))
	wantCode(t, err, "SlowDown")
	m.after = nil
	row, err := d.store.Upload(t.Context(), b, "in/k", id)
	if err != nil || len(row.SealedDEK) == 0 {
		t.Fatalf("row %+v, %v", row, err)
	}
	_, err = d.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("in/k"), UploadId: &id})
	wantCode(t, err, "NoSuchUpload")
	if row, err := d.store.Upload(t.Context(), b, "in/k", id); err != nil || len(row.SealedDEK) != 0 {
		t.Errorf("the row holds %d bytes of key, %v", len(row.SealedDEK), err)
	}
	if _, err := d.client.CompleteMultipartUpload(t.Context(), completeInput(b, "in/k", id, parts)); err != nil {
		t.Errorf("completed again: %v", err)
	}
	if got := a.get(t, b, "in/k"); string(got) != "body" {
		t.Errorf("%q", got)
	}
}

// unfinishing is a store that does not take the end of uploads.
type unfinishing struct {
	metadata.Store
	refuse atomic.Bool
}

func (s *unfinishing) FinishUpload(ctx context.Context, id string, result []byte, rec metadata.Record) error {
	if s.refuse.Load() {
		return metadata.ErrUnavailable
	}
	return s.Store.FinishUpload(ctx, id, result, rec)
}

func TestCustomerKeysGoWithDeposit(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newReader(t, st)
		d, replica := depositor(t, a, siteConfig{})
		b := a.bucket(t, "deposit-ssec")
		mine, other := newCustomer(), newCustomer()
		with := func(c customer, more map[string]string) map[string]string {
			header := map[string]string{
				"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key": *c.key, "X-Amz-Server-Side-Encryption-Customer-Key-Md5": *c.sum,
			}
			maps.Copy(header, more)
			return header
		}
		body := pattern(70_000)
		d.send(t, request{method: "PUT", bucket: b, key: "in/one", header: with(mine, nil), payload: sigv4test.Payload{Data: body}}).want(t, 200, "")
		d.send(t, request{method: "GET", bucket: b, key: "in/one", header: with(mine, nil)}).want(t, 403, "AccessDenied")

		id := textOf(d.send(t, request{method: "POST", bucket: b, key: "in/parts", query: "uploads=", header: with(mine, nil)}).want(t, 200, "").body, "UploadId")
		part := func(s *site, header map[string]string) reply {
			return s.send(t, request{method: "PUT", bucket: b, key: "in/parts", query: "partNumber=1&uploadId=" + escaped(id), header: header, payload: sigv4test.Payload{Data: body}})
		}
		part(d, nil).want(t, 400, "InvalidRequest")
		part(replica, with(other, nil)).want(t, 400, "InvalidRequest")
		etag := part(replica, with(mine, nil)).want(t, 200, "").header.Get("ETag")
		doc := fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", etag)
		complete := request{method: "POST", bucket: b, key: "in/parts", query: "uploadId=" + escaped(id), payload: sigv4test.Payload{Data: []byte(doc)}}
		wrong := complete
		wrong.header = with(other, nil)
		if got := d.send(t, wrong); !bytes.Contains(append(got.body, got.code...), []byte("InvalidRequest")) {
			t.Errorf("Complete with another key: %d %s", got.status, got.body)
		}
		if got := d.send(t, complete).want(t, 200, ""); bytes.Contains(got.body, []byte("<Error>")) {
			t.Fatalf("%s", got.body)
		}
		if row, err := d.store.Upload(t.Context(), b, "in/parts", id); err != nil || len(row.SealedDEK) != 0 || bytes.Contains(row.Attributes, []byte(*mine.key)) {
			t.Errorf("the row holds %d bytes of key and %s, %v", len(row.SealedDEK), row.Attributes, err)
		}

		// No part of a plain upload takes a key.
		plain, _ := d.upload(t, b, "in/plain", body)
		d.send(t, request{method: "PUT", bucket: b, key: "in/plain", query: "partNumber=2&uploadId=" + escaped(plain), header: with(mine, nil), payload: sigv4test.Payload{Data: body}}).want(t, 400, "InvalidRequest")

		for _, key := range []string{"in/one", "in/parts"} {
			a.send(t, request{method: "GET", bucket: b, key: key, header: with(other, nil)}).want(t, 403, "AccessDenied")
			if got, err := a.getWith(t, b, key, mine); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s reads as %d bytes, %v", key, len(got), err)
			}
		}
	})
}
