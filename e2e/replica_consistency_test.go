package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/internal/longtest"
)

// What one replica acknowledged the other one shows at once, in GET, HEAD and listing, though it has just read and remembers what was
// there before: new bytes, bytes in parts, a copy, and that there is nothing any more.
func TestWhatOneReplicaWroteTheOtherShowsAtOnce(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	bucket, key := replicas[0].bucket(t, "fresh"), "key"
	other := newPayload(40_000)
	replicas[0].put(t, bucket, "source", other, nil)
	changes := 0
	for round := range longtest.Rounds(t, 12) {
		writer, reader := replicas[round%2], replicas[(round+1)%2]
		p := newPayload(1 + rand.Int64N(100_000))
		switch round / 2 % 3 { // each by both replicas
		case 0:
			reader.wantObject(t, bucket, key, p, writer.put(t, bucket, key, p, map[string]string{"round": fmt.Sprint(round)}))
			if got := reader.head(t, bucket, key).Metadata["round"]; got != fmt.Sprint(round) {
				t.Errorf("round %d: metadata of round %s", round, got)
			}
		case 1:
			id := writer.begin(t, bucket, key)
			etag, err := writer.join(t.Context(), bucket, key, id, writer.sendPart(t, bucket, key, id, 1, p.bytes()))
			if err != nil {
				t.Fatal(err)
			}
			reader.wantObject(t, bucket, key, p, etag)
		case 2:
			out, err := writer.client().CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String(key), CopySource: aws.String(bucket + "/source")})
			if err != nil {
				t.Fatal(err)
			}
			reader.wantObject(t, bucket, key, other, strings.Trim(*out.CopyObjectResult.ETag, `"`))
		}
		// The writer remembers its own; now the other one removes it, and every second time the next round begins without.
		if round%2 == 0 {
			reader.remove(t, bucket, key)
			if _, err := read(t.Context(), writer, bucket, key); err == nil || !missing(err) {
				t.Errorf("round %d: GET after the other replica's DELETE: %v", round, err)
			}
			if _, there := writer.listed(t, bucket)[key]; there {
				t.Errorf("round %d: listed after the other replica's DELETE", round)
			}
		}
		changes++
	}
	longtest.Figure(t, "changes seen at once by the other replica", changes)
}

// A KEK is replaced while clients write through both replicas; nothing fails, everything is read by both, and what is written after the
// replicas may remember the old one lies under the new one.
func TestKeyRotationUnderLoadFailsNoRequest(t *testing.T) {
	c := startCluster(t, newSite(t, ""), 2)
	bucket := c.replicas[0].bucket(t, "rotated")
	clients := c.visitors(4, c.balancer.endpoint(), bucket, false, c.traffic)
	stop := visit(t, clients)
	rotations := 0
	for range longtest.Rounds(t, 3) {
		c.cofre(t, "key", "rotate", "--bucket", bucket)
		rotations++
	}
	stop()
	c.settle(t, clients)
	longtest.Figure(t, "KEKs replaced under load", rotations)
}

// A credential that was added can be used at every replica at once, and one that was removed at none once credential_ttl is over.
func TestCredentialsAreAddedAndRemovedAtEveryReplica(t *testing.T) {
	s := newSite(t, "")
	s.moreConfig = "limits: {credential_ttl: 300ms}\n"
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	client := s.storedCredential(t)
	list := func(r *replica) error {
		_, err := sdkClient(r.endpoint, client[0], client[1]).ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err
	}
	for _, r := range replicas {
		if err := list(r); err != nil {
			t.Errorf("at %s, right after it was added: %v", r.name, err)
		}
	}
	s.cofre(t, "credential", "remove", client[0])
	time.Sleep(300 * time.Millisecond)
	for _, r := range replicas {
		if err := list(r); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
			t.Errorf("at %s, credential_ttl after it was removed: %v", r.name, err)
		}
	}
}

// registerAct is what a client did with a key; of a write, the ETag that it left ("" for a delete), of a read the one that it saw.
type registerAct struct {
	key, etag string
	write     bool
}

// register is a key: it holds what was written last. How acts that overlap in time came one after the other is for the checker to find.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(registerAct).key
			byKey[key] = append(byKey[key], o)
		}
		return slices.Collect(maps.Values(byKey))
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		act := input.(registerAct)
		if act.write {
			return true, act.etag
		}
		return act.etag == state.(string), state
	},
}

// Eight clients of two replicas write, delete and read a few keys at the same time. There is an order of all they did, in agreement
// with the clock, in which every read gives what was written last: both replicas are one store (linearizability, judged by porcupine).
func TestTwoReplicasAreOneStore(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	bucket := replicas[0].bucket(t, "register")
	acts := 0
	for round := range longtest.Rounds(t, 3) {
		var mu sync.Mutex
		var history []porcupine.Operation
		var clients sync.WaitGroup
		began := time.Now()
		for i := range 8 {
			client := replicas[i%2].client()
			clients.Go(func() {
				for range 40 {
					act := registerAct{key: fmt.Sprintf("round %d, key %d", round, rand.IntN(3))}
					call := time.Since(began)
					err := act.do(client, bucket)
					end := time.Since(began)
					if err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					mu.Lock()
					history = append(history, porcupine.Operation{ClientId: i, Input: act, Call: int64(call), Return: int64(end)})
					mu.Unlock()
				}
			})
		}
		clients.Wait()
		if result := porcupine.CheckOperationsTimeout(register, history, time.Minute); result != porcupine.Ok {
			slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
			t.Errorf("round %d: %s: no order of these acts explains what was read:\n%v", round, result, history)
		}
		acts += len(history)
	}
	longtest.Figure(t, "acts of one history each", acts)
}

// do writes, deletes or reads the key.
func (a *registerAct) do(client *s3.Client, bucket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	switch n := rand.IntN(10); {
	case n < 4:
		p := newPayload(1 + rand.Int64N(80_000))
		a.write, a.etag = true, p.etag()
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &a.key, Body: bytes.NewReader(p.bytes())})
	case n < 5:
		a.write = true
		_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &a.key})
	case n < 8:
		a.etag, err = readWith(ctx, client, bucket, a.key)
	default:
		var out *s3.HeadObjectOutput
		if out, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &a.key}); err == nil {
			a.etag = strings.Trim(aws.ToString(out.ETag), `"`)
		}
	}
	if missing(err) {
		err = nil
	}
	return err
}
