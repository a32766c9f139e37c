package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"cofre/internal/longtest"
)

// crash is a site of which one replica, the victim, is killed again and again on its way to the storage or the database, while
// another one stays alive and goes on working.
type crash struct {
	*site
	victim, beside *replica
	storage        *steppingStorage
	database       *steppingDatabase
	bucket         string
	kills          int
	// sample is how many steps that change something the short form visits, chosen at random; 0 for all steps, as in the long form.
	sample int
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	s := quickSite(t, "")
	c := &crash{site: s, storage: newSteppingStorage(t, s.rgw.endpoint), database: newSteppingDatabase(t, s.metadataURL())}
	c.beside = s.elsewhere(t, s.rgw.endpoint, s.metadataURL()).start(t, "beside")
	c.bucket = c.beside.bucket(t, "crash")
	c.beside.put(t, c.bucket, "first", newPayload(1), nil) // the bucket has its KEK
	c.victim = s.elsewhere(t, c.storage.url, c.database.url).start(t, "victim")
	reportKills(t, c)
	return c
}

func reportKills(t *testing.T, c *crash) {
	t.Cleanup(func() { longtest.Figure(t, "processes killed at a step", c.kills) })
}

// scene is one operation, ready to be asked for, and what must hold of it.
type scene struct {
	// act asks for it once, and says whether it was acknowledged. began is told of the process of a command.
	act func(ctx context.Context, began func(*os.Process)) error
	// holds fails unless what a replica shows is what was before or what was asked for; the latter, where that was acknowledged.
	holds func(t *testing.T, r *replica, acknowledged bool)
	// again asks for it once more, as a client does that got no answer, and fails unless all is as asked for.
	again func(t *testing.T, r *replica)
}

// beyondSteps is a step that no operation gets to.
const beyondSteps = 1 << 30

// atEveryStep makes the scene for each step that the operation takes and each moment of the step, and kills the process there. Last of
// all the process is killed right after its answer. In the short form a sample may do: some of the steps that change something, and
// one of all.
func (c *crash) atEveryStep(t *testing.T, s *stops, stage func(t *testing.T, name string) scene) {
	t.Helper()
	if _, long := longtest.Long(t); !long && c.sample > 0 {
		steps := c.atStep(t, s, stage, beyondSteps)
		some := []int{1 + rand.IntN(steps)}
		for _, i := range rand.Perm(len(s.active))[:min(c.sample, len(s.active))] {
			some = append(some, s.active[i])
		}
		for _, step := range some {
			c.atStep(t, s, stage, step)
		}
		return
	}
	for step := 1; c.atStep(t, s, stage, step) >= step; step++ {
	}
}

// atStep kills the process at each moment of one step. It gives how many steps there were, where that is not one of them: then the process
// is killed right after its answer.
func (c *crash) atStep(t *testing.T, s *stops, stage func(t *testing.T, name string) scene, step int) (steps int) {
	t.Helper()
	passive := false
	for _, when := range []moment{beforeStep, withinStep, afterStep} {
		if passive || when == withinStep && !s.halves {
			continue
		}
		sc := stage(t, fmt.Sprintf("%d %v", step, when))
		seen, fired := c.act(t, s, sc, step, when)
		sc.again(t, c.victim) // nil where the operation is a command
		if c.beside != nil {
			sc.holds(t, c.beside, true)
		}
		if t.Failed() {
			t.Fatalf("killed %v step %d: %s", when, step, fired)
		}
		if seen < step {
			return seen
		}
		passive = s.passive(fired)
	}
	return step
}

// act has the scene played once and the process killed at a moment of a step; or when the answer is there, where there are not so many
// steps.
func (c *crash) act(t *testing.T, s *stops, sc scene, step int, when moment) (seen int, fired string) {
	t.Helper()
	if c.victim != nil {
		c.victim.put(t, c.bucket, "warm", newPayload(1), nil) // it has asked what it asks once, so steps have the same numbers each time
	}
	process := newDoomed(c.victim)
	s.arm(step, when, func() { process.kill(t) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := sc.act(ctx, process.is)
	seen, fired = s.disarm()
	switch {
	case fired == "" && err != nil:
		t.Fatalf("step %d: nobody was killed, and yet: %v", step, err)
	case fired == "" && seen >= step:
		return seen, "" // the step came and went, as one may that is not part of the operation
	case fired == "":
		process.kill(t)
	default:
		t.Logf("killed %v %.160s", when, fired)
	}
	if fired != "" || c.victim != nil { // a command that has answered is over
		c.kills++
	}
	c.storage.quiet()
	if c.victim != nil {
		acknowledged := err == nil
		sc.holds(t, c.beside, acknowledged)
		c.victim.restart(t)
		sc.holds(t, c.victim, acknowledged)
	}
	return seen, fired
}

// doomed is the process that is going to be killed: the victim, or a command where there is none.
type doomed struct {
	victim  *replica
	mu      sync.Mutex
	command *os.Process
}

func newDoomed(victim *replica) *doomed { return &doomed{victim: victim} }

func (d *doomed) is(p *os.Process) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.command = p
}

func (d *doomed) kill(t *testing.T) {
	d.mu.Lock()
	command := d.command
	d.mu.Unlock()
	if d.victim != nil {
		d.victim.kill(t)
	} else if command != nil {
		_ = command.Kill() // it may be over
	}
}

// impatient is a client that asks once.
func (r *replica) impatient() *s3.Client {
	return sdkClient(r.endpoint, r.access, r.secret, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
}

// shows gives the ETag of an object after reading it whole, and fails unless GET, HEAD, the attributes and the listing say the same of
// it, and the body is that of one of the payloads. It is empty where the object is not there, which all must say.
func (r *replica) shows(t *testing.T, bucket, key string, bodies ...payload) string {
	t.Helper()
	ctx, client := t.Context(), r.client()
	list, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key})
	if err != nil {
		t.Fatalf("%s lists %s: %v", r.name, key, err)
	}
	list.Contents = slices.DeleteFunc(list.Contents, func(o types.Object) bool { return *o.Key != key })
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if hasCode(err, "NoSuchKey") {
		if len(list.Contents) != 0 {
			t.Errorf("%s lists %s, which is not there", r.name, key)
		}
		if _, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}); !hasCode(err, "NotFound") {
			t.Errorf("%s: HEAD of %s, which is not there: %v", r.name, key, err)
		}
		return ""
	}
	if err != nil {
		t.Fatalf("%s gets %s: %v", r.name, key, err)
	}
	defer out.Body.Close()
	etag, size := strings.Trim(aws.ToString(out.ETag), `"`), aws.ToInt64(out.ContentLength)
	for i, p := range bodies {
		if p.size == size && (p.etag() == etag || p.multipartETag(5*mib) == etag) {
			p.wantReader(t, key, out.Body)
			break
		}
		if i == len(bodies)-1 {
			t.Errorf("%s: %s has ETag %s and %d bytes, which nobody wrote", r.name, key, etag, size)
		}
	}
	if head := r.head(t, bucket, key); head.ETag != etag || head.Size != size {
		t.Errorf("%s: HEAD %s says %+v, GET %s and %d", r.name, key, head, etag, size)
	}
	if n := len(list.Contents); n != 1 || strings.Trim(aws.ToString(list.Contents[0].ETag), `"`) != etag || aws.ToInt64(list.Contents[0].Size) != size {
		t.Errorf("%s: the listing of %s has %d entries, not one of ETag %s and size %d", r.name, key, n, etag, size)
	}
	attributes, err := client.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: &bucket, Key: &key,
		ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesEtag, types.ObjectAttributesObjectSize}})
	if err != nil || strings.Trim(aws.ToString(attributes.ETag), `"`) != etag || aws.ToInt64(attributes.ObjectSize) != size {
		t.Errorf("%s: the attributes of %s: %v, not ETag %s and size %d", r.name, key, err, etag, size)
	}
	return etag
}

func hasCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}

// replaces is what must hold of an object that is written over another: it is one of both, whole, and the new one where that was
// acknowledged.
func replaces(bucket, key string, old, next payload) func(t *testing.T, r *replica, acknowledged bool) {
	return func(t *testing.T, r *replica, acknowledged bool) {
		t.Helper()
		etag := r.shows(t, bucket, key, old, next)
		isNew := etag == next.etag() || etag == next.multipartETag(5*mib)
		if acknowledged && !isNew || !isNew && etag != old.etag() {
			t.Errorf("%s shows %q under %s: old is %s, new is %s, acknowledged %v", r.name, etag, key, old.etag(), next.etag(), acknowledged)
		}
	}
}

// swept has the sweeper take away all that it may, whatever its age, and fails unless a second sweep finds nothing left to take. It gives
// how many uploads it leaves alone because their Complete, begun within the last quarter of an hour, may still be running.
func (s *site) swept(t *testing.T, bucket string) (running int) {
	t.Helper()
	for round := range 2 {
		out, errs, code := s.sweep(t, bucket)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var last struct {
			Summary struct {
				Swept map[string]int
				Kept  int
			}
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != 0 {
			t.Fatalf("sweep: exit code %d, %v: %s%s", code, err, out, errs)
		}
		t.Logf("swept %v, kept %d", last.Summary.Swept, last.Summary.Kept)
		running = strings.Count(out, "its Complete may still be running")
		if round > 0 && (len(last.Summary.Swept) != 0 || last.Summary.Kept != running) {
			t.Errorf("a second sweep still finds:\n%s", out)
		}
	}
	return running
}

// sweep runs the command, which waits for a serve that sweeps by itself: each does a minute after its start.
func (s *site) sweep(t *testing.T, bucket string) (out, errs string, code int) {
	t.Helper()
	return s.try(t, "sweep", "--bucket", bucket, "--older-than", "0s", "--lost-rows", "--json")
}

// sound fails unless `cofre verify` finds no fault in the bucket once the sweeper has been there, and nothing that it could take away
// any more.
func (c *crash) sound(t *testing.T) {
	t.Helper()
	running := c.swept(t, c.bucket)
	found, code := c.verified(t, c.bucket, "--read", "all")
	if code != 0 || found.Faults != 0 {
		t.Errorf("verify: exit code %d, %+v", code, found)
	}
	if found.Kinds["upload-without-row"] != 0 || found.Kinds["upload-unknown"] != int64(running) {
		t.Errorf("verify still finds uploads: %v", found.Kinds)
	}
}
