package e2e_test

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/keys"
)

// TestABucketWrittenStraightToTheStorageIsSealedWhileAClientReads: objects laid down by the AWS SDK, of one PUT and in parts.
func TestABucketWrittenStraightToTheStorageIsSealedWhileAClientReads(t *testing.T) {
	s := newSite(t, "")
	bucket := "plain-" + randomHex(6)
	raw := s.rgw.client()
	if _, err := raw.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	objects := map[string]payload{"small": newPayload(70_000), "dir/empty": newPayload(0), "large": newPayload(23 * mib), "dir/two parts": newPayload(9 * mib)}
	etags := map[string]string{}
	//nolint:staticcheck // deprecated, and what programs in the field use
	uploader := manager.NewUploader(raw, func(u *manager.Uploader) { u.PartSize = 8 * mib })
	for key, p := range objects {
		//nolint:staticcheck // the same
		if _, err := uploader.Upload(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes()), ContentType: aws.String("text/x-ward"), Metadata: map[string]string{"note": secretNote}, Tagging: aws.String("ward=b"),
		}); err != nil {
			t.Fatal(err)
		}
		head, err := raw.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		etags[key] = *head.ETag
	}

	// As it is by itself, the bucket refuses what is not sealed, and so does the command.
	cmd := s.command("migrate", "--bucket", bucket, "--config", s.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "unsealed: pass") {
		t.Fatalf("migrate where clients could not read: %v, %s", err, out)
	}
	s.moreConfig = "buckets:\n  - {name: " + bucket + ", unsealed: pass}\n"
	r := s.start(t, "R")
	var done atomic.Bool
	var reader sync.WaitGroup
	reader.Go(func() {
		for n := 0; !done.Load() || n < 2; n++ {
			for key, p := range objects {
				out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
				if err != nil {
					t.Errorf("read %s: %v", key, err)
					continue
				}
				got, err := io.ReadAll(out.Body)
				out.Body.Close()
				if err != nil || !bytes.Equal(got, p.bytes()) || *out.ETag != etags[key] {
					t.Errorf("read %s: %d bytes, ETag %s, %v", key, len(got), *out.ETag, err)
				}
			}
		}
	})
	said := s.cofre(t, "migrate", "--bucket", bucket, "--wait")
	done.Store(true)
	reader.Wait()
	if !strings.Contains(said, " 4 rewritten") || !strings.Contains(said, "set `unsealed: refuse`") {
		t.Errorf("migrate says %s", said)
	}

	r.stop(t)
	s.moreConfig = "" // refuse is the default
	r.restart(t)
	for key, p := range objects {
		r.wantObject(t, bucket, key, p, strings.Trim(etags[key], `"`))
		head := r.head(t, bucket, key)
		if head.Metadata["note"] != secretNote {
			t.Errorf("%s: metadata %v", key, head.Metadata)
		}
		if strings.Contains(etags[key], "-") {
			continue // RGW 16 itself loses the tags of an upload in parts
		}
		tags, err := r.client().GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
		if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "b" {
			t.Errorf("%s: tags %v, %v", key, tags, err)
		}
	}
	for key, o := range s.rawObjects(t, bucket) {
		if o.kek == (keys.KEKID{}) || len(objects[key].bytes()) > 100 && bytes.Contains(o.body, objects[key].bytes()[:100]) {
			t.Errorf("%s lies in clear", key)
		}
	}
	attributes, err := r.client().GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
		Bucket: &bucket, Key: aws.String("large"), ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesObjectParts},
	})
	if err != nil || len(attributes.ObjectParts.Parts) != 3 || *attributes.ObjectParts.Parts[0].Size != 8*mib {
		t.Errorf("parts %+v, %v", attributes, err)
	}
	if list := s.cofre(t, "migrate", "--bucket", bucket, "--list"); !strings.Contains(list, ": 0 to rewrite") {
		t.Errorf("what is left: %s", list)
	}
}
