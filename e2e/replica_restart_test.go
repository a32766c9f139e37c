package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cofre/internal/longtest"
)

// restartRounds is how often each replica is restarted in the short form.
const restartRounds = 2

// TestRollingRestartFailsNoRequest has clients with the SDK's default settings go on through a balancer while each replica is drained,
// ended and started again. No request fails, no body breaks off, and whoever reads sees what was last acknowledged, whatever replica
// took it.
func TestRollingRestartFailsNoRequest(t *testing.T) {
	s := newSite(t, "")
	s.drainDelay = "1s" // what the balancer needs to notice, several times
	c := startCluster(t, s, 2)
	bucket := c.replicas[0].bucket(t, "rolling")
	clients := c.visitors(6, c.balancer.endpoint(), bucket, false, c.traffic)
	stop := visit(t, clients)
	restarts := 0
	for range longtest.Rounds(t, restartRounds) {
		for i, r := range c.replicas {
			r.stop(t)
			r.restart(t)
			c.waitTaken(t, i)
			restarts++
		}
	}
	stop()
	c.settle(t, clients)
	longtest.Figure(t, "replicas restarted", restarts)
	longtest.Figure(t, "requests", int(c.traffic.requests.Load()))
	longtest.Figure(t, "requests that the SDK sent again", int(c.traffic.broken.Load()+c.traffic.refused.Load()))
}

// TestRollingKillFailsNoRequest is the same with kill -9: the SDK sends again what was on its way. Only bodies of GETs that were being
// read break off, which no SDK mends by itself; they are asked for again.
func TestRollingKillFailsNoRequest(t *testing.T) {
	c := startCluster(t, newSite(t, ""), 2)
	bucket := c.replicas[0].bucket(t, "killed")
	clients := c.visitors(6, c.balancer.endpoint(), bucket, true, c.traffic)
	stop := visit(t, clients)
	kills := 0
	for range longtest.Rounds(t, restartRounds) {
		for i, r := range c.replicas {
			r.kill(t)
			r.restart(t)
			c.waitTaken(t, i)
			kills++
		}
	}
	stop()
	c.settle(t, clients)
	longtest.Figure(t, "replicas killed", kills)
	longtest.Figure(t, "requests", int(c.traffic.requests.Load()))
	longtest.Figure(t, "requests that the SDK sent again", int(c.traffic.broken.Load()+c.traffic.refused.Load()))
	longtest.Figure(t, "GET bodies cut and asked for again", int(c.traffic.cut.Load()))
}

// The programs of the field go on through a rolling restart as the SDK does: what `aws s3 sync` and rclone move while each replica is
// restarted arrives whole, and nothing is reported.
func TestRollingRestartIsNotNoticedByTools(t *testing.T) {
	for name, program := range map[string]func(via *replica, from, to string) string{
		"aws":    func(via *replica, from, to string) string { return via.aws(t, "s3", "sync", "--no-progress", from, to) },
		"rclone": func(via *replica, from, to string) string { return via.rclone(t, "copy", from, to, "-v") },
	} {
		t.Run(name, func(t *testing.T) {
			tool(t, name)
			s := newSite(t, "")
			s.drainDelay = "1s"
			c := startCluster(t, s, 2)
			bucket, up := c.replicas[0].bucket(t, "tools"), t.TempDir()
			via := &replica{site: s, name: "balancer", endpoint: c.balancer.endpoint()}
			remote := map[string]string{"aws": "s3://", "rclone": "cofre:"}[name] + bucket + "/mirror"
			files := map[string]payload{}
			for i := range 8 {
				files[fmt.Sprint("file ", i)] = newPayload(int64(i) * 150_000)
			}
			for key, p := range files {
				p.file(t, filepath.Join(up, key))
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			var restarts atomic.Int64
			go func() {
				defer close(stopped)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						c.replicas[i%2].stop(t)
						c.replicas[i%2].restart(t)
						c.waitTaken(t, i%2)
						restarts.Add(1)
					}
				}
			}()
			for range longtest.Rounds(t, 1) {
				for before := restarts.Load(); restarts.Load() < before+2 && !t.Failed(); { // each replica once, at least
					mirror(t, program, via, up, remote, files)
				}
			}
			close(stop)
			<-stopped
			longtest.Figure(t, "replicas restarted under "+name, int(restarts.Load()))
		})
	}
}

// mirror has a program copy a directory to a bucket and back, and removes it from the bucket.
func mirror(t *testing.T, program func(via *replica, from, to string) string, via *replica, up, remote string, files map[string]payload) {
	t.Helper()
	down := t.TempDir()
	for _, way := range [][2]string{{up, remote}, {remote, down}} {
		if said := program(via, way[0], way[1]); strings.Contains(strings.ToLower(said), "error") {
			t.Errorf("from %s to %s:\n%s", way[0], way[1], said)
		}
	}
	wantTree(t, down, files)
	_, path, _ := strings.Cut(strings.ReplaceAll(remote, "//", ""), ":")
	bucket, prefix, _ := strings.Cut(path, "/")
	for key := range files {
		via.remove(t, bucket, prefix+"/"+key)
	}
}

// cluster is several replicas of a site behind a balancer, and the traffic through it.
type cluster struct {
	*site
	replicas []*replica
	balancer *balancer
	traffic  *traffic
}

func startCluster(t *testing.T, s *site, n int) *cluster {
	t.Helper()
	c := &cluster{site: s, traffic: newTraffic()}
	for i := range n {
		c.replicas = append(c.replicas, s.start(t, fmt.Sprint("replica", i+1)))
	}
	c.balancer = newBalancer(t, c.replicas...)
	return c
}

// waitTaken waits until the balancer gives connections to a replica again.
func (c *cluster) waitTaken(t *testing.T, i int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c.balancer.ready[i].Load() {
			return
		}
	}
	t.Fatalf("%s is not ready after a minute", c.replicas[i].name)
}

// settle reads everything back once the traffic has ended, and clears up.
func (c *cluster) settle(t *testing.T, clients []*visitor) {
	t.Helper()
	t.Log(c.traffic)
	for _, v := range clients {
		if err := v.checkAll(t.Context()); err != nil {
			t.Errorf("%safter the end: %v", v.prefix, err)
		}
		if err := v.leave(t.Context()); err != nil {
			t.Errorf("%sclearing up: %v", v.prefix, err)
		}
	}
}
