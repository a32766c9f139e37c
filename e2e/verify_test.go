package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// try runs a command of the site's own that may fail, and gives its outputs and its exit code.
func (s *site) try(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := s.command(append(args, "--config", s.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ended := (*exec.ExitError)(nil); !errors.As(err, &ended) {
			t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// summary is the last line of `cofre verify --json`.
type summary struct {
	Objects, Read, Rows, Layouts, Faults, Infos int64
	Kinds                                       map[string]int64
}

func (s *site) verified(t *testing.T, bucket string, args ...string) (summary, int) {
	t.Helper()
	out, errs, code := s.try(t, append([]string{"verify", "--bucket", bucket, "--json"}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct{ Summary summary }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	if last.Summary.Faults > 0 {
		t.Logf("%s", out)
	}
	return last.Summary, code
}

// TestVerifyBesideClients verifies a bucket that the aws CLI has filled, while clients go on writing to it; then the storage takes
// an object away.
func TestVerifyBesideClients(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "A")
	b := r.bucket(t, "verify")
	if _, err := r.client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	large := newPayload(20 * mib)
	r.aws(t, "s3", "cp", large.file(t, filepath.Join(t.TempDir(), "large")), "s3://"+b+"/large")
	r.aws(t, "s3", "cp", "s3://"+b+"/large", "s3://"+b+"/copy of large")
	for i := range 30 {
		r.put(t, b, fmt.Sprint("small ", i%10), newPayload(int64(i)*1000), map[string]string{"n": fmt.Sprint(i)})
	}
	r.aws(t, "s3", "rm", "s3://"+b+"/small 3")

	stop := make(chan struct{})
	var writers errgroup.Group
	for w := range 3 {
		writers.Go(func() error {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return nil
				default:
					key := fmt.Sprint("busy ", (w+i)%5)
					r.put(t, b, key, newPayload(70_000), nil)
					if i%3 == 0 {
						if _, err := r.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
							return err
						}
					}
					time.Sleep(5 * time.Millisecond) // the other processes share this machine
				}
			}
		})
	}
	busy, code := s.verified(t, b, "--read", "all")
	close(stop)
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	if code != 0 || busy.Faults != 0 || busy.Objects < 32 || busy.Read == 0 {
		t.Errorf("beside writers: exit code %d, %+v", code, busy)
	}
	quiet, code := s.verified(t, b, "--read", "50%", "--parallel", "4")
	if code != 0 || quiet.Faults != 0 || quiet.Rows != quiet.Objects || quiet.Read == 0 || quiet.Read == quiet.Objects {
		t.Errorf("afterwards: exit code %d, %+v", code, quiet)
	}

	head, err := r.client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: aws.String("large")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.rgw.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("large"), VersionId: head.VersionId}); err != nil {
		t.Fatal(err)
	}
	found, code := s.verified(t, b)
	if code != 1 || found.Kinds["row-without-object"] != 1 {
		t.Errorf("after a theft: exit code %d, %+v", code, found)
	}
}
