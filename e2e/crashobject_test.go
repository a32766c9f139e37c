package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// crashSize is a body of two chunks.
const crashSize = 70_000

// overwrites makes the scene of an operation that puts a body in the place of another.
func (c *crash) overwrites(t *testing.T, key string, next payload, act func(ctx context.Context, client *s3.Client) error) scene {
	t.Helper()
	old := newPayload(50_000)
	c.beside.put(t, c.bucket, key, old, nil)
	return scene{
		act:   func(ctx context.Context, _ func(*os.Process)) error { return act(ctx, c.victim.impatient()) },
		holds: replaces(c.bucket, key, old, next),
		again: func(t *testing.T, r *replica) {
			t.Helper()
			if err := act(t.Context(), r.client()); err != nil {
				t.Errorf("again: %v", err)
			}
			replaces(c.bucket, key, old, next)(t, r, true)
		},
	}
}

func (c *crash) putScene(t *testing.T, name string) scene {
	key, next := "put "+name, newPayload(crashSize)
	return c.overwrites(t, key, next, func(ctx context.Context, client *s3.Client) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(next.bytes())})
		return err
	})
}

// conditionalPutScene is a PUT that replaces a certain object only; once it was done its condition fails.
func (c *crash) conditionalPutScene(t *testing.T, name string) scene {
	key, old, next := "conditional "+name, newPayload(50_000), newPayload(crashSize)
	etag := c.beside.put(t, c.bucket, key, old, nil)
	act := func(ctx context.Context, client *s3.Client) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(next.bytes()), IfMatch: &etag})
		return err
	}
	holds := replaces(c.bucket, key, old, next)
	return scene{
		act:   func(ctx context.Context, _ func(*os.Process)) error { return act(ctx, c.victim.impatient()) },
		holds: holds,
		again: func(t *testing.T, r *replica) {
			t.Helper()
			was := r.shows(t, c.bucket, key, old, next)
			err := act(t.Context(), r.client())
			if was == etag && err != nil || was != etag && !hasCode(err, "PreconditionFailed") {
				t.Errorf("the object was %s, the condition %s, the second PUT: %v", was, etag, err)
			}
			holds(t, r, true)
		},
	}
}

// copyScene copies within the bucket, where the storage copies the bytes, or from another one, where they are sealed anew.
func (c *crash) copyScene(from string) func(t *testing.T, name string) scene {
	return func(t *testing.T, name string) scene {
		key, source, next := "copied "+name, "source "+name, newPayload(crashSize)
		c.beside.put(t, from, source, next, nil)
		return c.overwrites(t, key, next, func(ctx context.Context, client *s3.Client) error {
			_, err := client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &key, CopySource: aws.String(from + "/" + escapePath(source))})
			return err
		})
	}
}

// removed makes the scene of an operation that deletes keys.
func (c *crash) removed(t *testing.T, keys []string, act func(ctx context.Context, client *s3.Client) error) scene {
	t.Helper()
	old := newPayload(crashSize)
	for _, key := range keys {
		c.beside.put(t, c.bucket, key, old, nil)
	}
	holds := func(t *testing.T, r *replica, acknowledged bool) {
		t.Helper()
		for _, key := range keys {
			if etag := r.shows(t, c.bucket, key, old); acknowledged && etag != "" {
				t.Errorf("%s shows %s, whose deletion was acknowledged", r.name, key)
			}
		}
	}
	_, was, raw := c.rgw.rawRequest(t, http.MethodGet, "/"+c.bucket+"/"+escapePath(keys[0]))
	return scene{
		act:   func(ctx context.Context, _ func(*os.Process)) error { return act(ctx, c.victim.impatient()) },
		holds: holds,
		again: func(t *testing.T, r *replica) {
			t.Helper()
			if err := act(t.Context(), r.client()); err != nil {
				t.Errorf("again: %v", err)
			}
			holds(t, r, true)
			// Deleted for good: the storage cannot bring it back, whatever step the first delete got to.
			c.putBack(t, keys[0], was, raw)
			r.wantRefused(t, c.bucket, keys[0], "InternalError")
			if err := act(t.Context(), r.client()); err != nil {
				t.Errorf("delete of what was put back: %v", err)
			}
		},
	}
}

// putBack is the storage bringing back an object as it was: its bytes and its metadata.
func (c *crash) putBack(t *testing.T, key string, head, body []byte) {
	t.Helper()
	metadata := map[string]string{}
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if rest, ok := bytes.CutPrefix(bytes.ToLower(name), []byte("x-amz-meta-")); ok {
			metadata[string(rest)] = string(value)
		}
	}
	_, err := c.rgw.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(body), Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *crash) deleteScene(t *testing.T, name string) scene {
	key := "deleted " + name
	return c.removed(t, []string{key}, func(ctx context.Context, client *s3.Client) error {
		_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &key})
		return err
	})
}

func (c *crash) deleteManyScene(t *testing.T, name string) scene {
	keys := []string{"many/1 " + name, "many/2 " + name, "many/3 " + name}
	var list []types.ObjectIdentifier
	for _, key := range keys {
		list = append(list, types.ObjectIdentifier{Key: &key})
	}
	return c.removed(t, keys, func(ctx context.Context, client *s3.Client) error {
		out, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &c.bucket, Delete: &types.Delete{Objects: list}})
		if err == nil && len(out.Errors) > 0 {
			err = fmt.Errorf("%d of %d: %s", len(out.Errors), len(keys), aws.ToString(out.Errors[0].Code))
		}
		return err
	})
}

// formScene sends a browser's form, of which a large one is first laid aside in the system bucket.
func (c *crash) formScene(size int64) func(t *testing.T, name string) scene {
	return func(t *testing.T, name string) scene {
		key, next := fmt.Sprint("form ", size, " ", name), newPayload(size)
		signer := s3.NewPresignClient(c.beside.client())
		form, err := signer.PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range form.Values {
			_ = w.WriteField(name, value) // a buffer takes everything
		}
		file, err := w.CreateFormFile("file", "file")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(file, next.reader())
		_ = w.WriteField("submit", "send") // as a page without a script does
		_ = w.Close()
		return c.overwrites(t, key, next, func(ctx context.Context, client *s3.Client) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, *client.Options().BaseEndpoint+"/"+c.bucket, bytes.NewReader(body.Bytes()))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", w.FormDataContentType())
			req.Header.Set("Upgrade-Insecure-Requests", "1")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
				return fmt.Errorf("status %d: %s", resp.StatusCode, text)
			}
			return nil
		})
	}
}

func TestKilledAtEveryStepOfAnObjectsOperations(t *testing.T) {
	c := newCrash(t)
	other := c.beside.bucket(t, "crash-source")
	for _, op := range []struct {
		name  string
		stage func(t *testing.T, name string) scene
	}{
		{"PutObject", c.putScene}, {"PutObject with a condition", c.conditionalPutScene}, {"DeleteObject", c.deleteScene}, {"DeleteObjects", c.deleteManyScene},
		{"CopyObject of the bytes", c.copyScene(c.bucket)}, {"CopyObject sealed anew", c.copyScene(other)},
		{"form", c.formScene(crashSize)}, {"form laid aside", c.formScene(300_000)},
	} {
		t.Run(op.name, func(t *testing.T) { c.atEveryStep(t, &c.storage.stops, op.stage) })
	}
	for _, op := range []struct {
		name  string
		stage func(t *testing.T, name string) scene
	}{{"PutObject", c.putScene}, {"PutObject with a condition", c.conditionalPutScene}, {"DeleteObject", c.deleteScene}} {
		t.Run(op.name+" at the database", func(t *testing.T) { c.atEveryStep(t, &c.database.stops, op.stage) })
	}
	c.sound(t)
}
