package e2e_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// begun is an upload in parts that is going on, over an object that is there already.
type begun struct {
	c         *crash
	key, id   string
	old, next payload
}

func (c *crash) beginUpload(t *testing.T, key string) begun {
	t.Helper()
	u := begun{c: c, key: key, old: newPayload(50_000), next: newPayload(crashSize)}
	c.beside.put(t, c.bucket, key, u.old, nil)
	id, err := u.create(t.Context(), c.beside.client())
	if err != nil {
		t.Fatal(err)
	}
	u.id = id
	return u
}

func (u begun) create(ctx context.Context, client *s3.Client) (string, error) {
	out, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.c.bucket, Key: &u.key})
	if err != nil {
		return "", err
	}
	return *out.UploadId, nil
}

// part sends the one part that the upload has.
func (u begun) part(ctx context.Context, client *s3.Client) error {
	_, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.c.bucket, Key: &u.key, UploadId: &u.id, PartNumber: aws.Int32(1), Body: bytes.NewReader(u.next.bytes())})
	return err
}

func (u begun) complete(ctx context.Context, client *s3.Client) error {
	etag := u.next.etag()
	out, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.c.bucket, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: &etag}}}})
	if err == nil && strings.Trim(aws.ToString(out.ETag), `"`) != u.next.multipartETag(5*mib) {
		return &unexpectedETag{aws.ToString(out.ETag)}
	}
	return err
}

type unexpectedETag struct{ etag string }

func (e *unexpectedETag) Error() string { return "completed with ETag " + e.etag }

// open says whether a replica lists the upload.
func (u begun) open(t *testing.T, r *replica) bool {
	t.Helper()
	out, err := r.client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &u.c.bucket, Prefix: &u.key})
	if err != nil {
		t.Fatal(err)
	}
	for _, up := range out.Uploads {
		if *up.UploadId == u.id {
			return true
		}
	}
	return false
}

// ends brings the upload to its end, twice, since a client whose answer is lost asks again.
func (u begun) ends(t *testing.T, r *replica) {
	t.Helper()
	for range 2 {
		if err := u.complete(t.Context(), r.client()); err != nil {
			t.Errorf("Complete: %v", err)
			return
		}
	}
	replaces(u.c.bucket, u.key, u.old, u.next)(t, r, true)
	if u.open(t, r) {
		t.Errorf("%s lists an upload that was completed", r.name)
	}
}

// unchanged is what must hold while an upload goes on: the object of before is there.
func (u begun) unchanged(t *testing.T, r *replica, _ bool) {
	t.Helper()
	if etag := r.shows(t, u.c.bucket, u.key, u.old); etag != u.old.etag() {
		t.Errorf("%s shows %q before the upload was completed", r.name, etag)
	}
}

func (c *crash) createScene(t *testing.T, name string) scene {
	u := begun{c: c, key: "created " + name, old: newPayload(50_000), next: newPayload(crashSize)}
	c.beside.put(t, c.bucket, u.key, u.old, nil)
	first := ""
	return scene{
		act: func(ctx context.Context, _ func(*os.Process)) (err error) {
			first, err = u.create(ctx, c.victim.impatient())
			return err
		},
		holds: func(t *testing.T, r *replica, acknowledged bool) {
			t.Helper()
			if etag := r.shows(t, c.bucket, u.key, u.old, u.next); etag == "" {
				t.Errorf("%s shows nothing", r.name)
			}
		},
		again: func(t *testing.T, r *replica) {
			t.Helper()
			var err error
			if u.id, err = u.create(t.Context(), r.client()); err != nil {
				t.Fatal(err)
			}
			if first != "" { // it was answered, so it can be gone on with all the same
				w := u
				w.id = first
				if !w.open(t, r) {
					t.Errorf("upload %s was acknowledged and is not there", first)
				}
				_, err := r.client().AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &u.key, UploadId: &first})
				if err != nil {
					t.Errorf("abort: %v", err)
				}
			}
			if err := u.part(t.Context(), r.client()); err != nil {
				t.Fatal(err)
			}
			u.ends(t, r)
		},
	}
}

func (c *crash) partScene(t *testing.T, name string) scene {
	u := c.beginUpload(t, "part "+name)
	return u.sending(u.part)
}

// sending makes the scene of an operation that gives the upload its part.
func (u begun) sending(part func(ctx context.Context, client *s3.Client) error) scene {
	c := u.c
	return scene{
		act: func(ctx context.Context, _ func(*os.Process)) error { return part(ctx, c.victim.impatient()) },
		holds: func(t *testing.T, r *replica, acknowledged bool) {
			t.Helper()
			if !u.open(t, r) {
				if etag := r.shows(t, c.bucket, u.key, u.next); etag == "" {
					t.Errorf("%s lists neither the upload nor its object", r.name)
				}
				return
			}
			u.unchanged(t, r, acknowledged)
			out, err := r.client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &c.bucket, Key: &u.key, UploadId: &u.id})
			if err != nil || acknowledged && (len(out.Parts) != 1 || strings.Trim(aws.ToString(out.Parts[0].ETag), `"`) != u.next.etag()) {
				t.Errorf("%s lists parts %+v, %v", r.name, out, err)
			}
		},
		again: func(t *testing.T, r *replica) {
			t.Helper()
			if err := part(t.Context(), r.client()); err != nil {
				t.Fatalf("part again: %v", err)
			}
			u.ends(t, r)
		},
	}
}

func (c *crash) partCopyScene(t *testing.T, name string) scene {
	u, source := c.beginUpload(t, "part copy "+name), "source of a part "+name
	c.beside.put(t, c.bucket, source, u.next, nil)
	return u.sending(func(ctx context.Context, client *s3.Client) error {
		_, err := client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &c.bucket, Key: &u.key, UploadId: &u.id, PartNumber: aws.Int32(1),
			CopySource: aws.String(c.bucket + "/" + escapePath(source))})
		return err
	})
}

func (c *crash) completeScene(t *testing.T, name string) scene {
	u := c.beginUpload(t, "completed "+name)
	if err := u.part(t.Context(), c.beside.client()); err != nil {
		t.Fatal(err)
	}
	return scene{
		act:   func(ctx context.Context, _ func(*os.Process)) error { return u.complete(ctx, c.victim.impatient()) },
		holds: replaces(c.bucket, u.key, u.old, u.next),
		again: u.ends,
	}
}

func (c *crash) abortScene(t *testing.T, name string) scene {
	u := c.beginUpload(t, "aborted "+name)
	if err := u.part(t.Context(), c.beside.client()); err != nil {
		t.Fatal(err)
	}
	abort := func(ctx context.Context, client *s3.Client) error {
		_, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &u.key, UploadId: &u.id})
		return err
	}
	return scene{
		act: func(ctx context.Context, _ func(*os.Process)) error { return abort(ctx, c.victim.impatient()) },
		holds: func(t *testing.T, r *replica, acknowledged bool) {
			t.Helper()
			u.unchanged(t, r, acknowledged)
			if acknowledged && u.open(t, r) {
				t.Errorf("%s lists an upload whose abort was acknowledged", r.name)
			}
		},
		again: func(t *testing.T, r *replica) {
			t.Helper()
			if err := abort(t.Context(), r.client()); err != nil && !hasCode(err, "NoSuchUpload") {
				t.Errorf("abort again: %v", err)
			}
			if u.open(t, r) {
				t.Errorf("%s lists an upload that was aborted", r.name)
			}
			if err := u.complete(t.Context(), r.client()); !hasCode(err, "NoSuchUpload") {
				t.Errorf("Complete after the abort: %v", err)
			}
			u.unchanged(t, r, true)
		},
	}
}

func TestKilledAtEveryStepOfAnUpload(t *testing.T) {
	c := newCrash(t)
	for _, op := range []struct {
		name  string
		stage func(t *testing.T, name string) scene
	}{
		{"CreateMultipartUpload", c.createScene}, {"UploadPart", c.partScene}, {"UploadPartCopy", c.partCopyScene},
		{"CompleteMultipartUpload", c.completeScene}, {"AbortMultipartUpload", c.abortScene},
	} {
		t.Run(op.name, func(t *testing.T) { c.atEveryStep(t, &c.storage.stops, op.stage) })
	}
	for _, op := range []struct {
		name  string
		stage func(t *testing.T, name string) scene
	}{{"UploadPart", c.partScene}, {"CompleteMultipartUpload", c.completeScene}} {
		t.Run(op.name+" at the database", func(t *testing.T) { c.atEveryStep(t, &c.database.stops, op.stage) })
	}
	c.sound(t)
}
