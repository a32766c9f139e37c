package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// commanded is a site without a running process, whose commands reach storage and database by the ways on which they are killed.
type commanded struct {
	*crash
	doomed *site              // runs the commands that are killed
	bodies map[string]payload // what lies in the bucket
}

// newCommanded makes a site with a bucket that holds an object of each shape.
func newCommanded(t *testing.T) *commanded {
	t.Helper()
	s := quickSite(t, "")
	c := &crash{site: s, storage: newSteppingStorage(t, s.rgw.endpoint), database: newSteppingDatabase(t, s.metadataURL()), sample: 3}
	reportKills(t, c)
	r := s.start(t, "filler")
	c.bucket = r.bucket(t, "crash")
	m := &commanded{crash: c, bodies: map[string]payload{"small": newPayload(crashSize), "in parts": newPayload(crashSize)}}
	r.put(t, c.bucket, "small", m.bodies["small"], map[string]string{"note": secretNote})
	u := begun{c: c, key: "in parts", next: m.bodies["in parts"]}
	var err error
	if u.id, err = u.create(t.Context(), r.client()); err == nil {
		if err = u.part(t.Context(), r.client()); err == nil {
			err = u.complete(t.Context(), r.client())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	m.doomed = s.elsewhere(t, c.storage.url, c.database.url)
	return m
}

// run runs a command of the doomed site. Only what it says is its acknowledgement.
func (m *commanded) run(ctx context.Context, began func(*os.Process), args ...string) error {
	cmd := m.doomed.command(append(args, "--config", m.doomed.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	began(cmd.Process)
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("cofre %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return nil
}

// command makes the scene of a command that is run again until it succeeds. Whatever step it got to, `cofre verify` opens every chunk of
// every object by what the storage and the database hold.
func (m *commanded) command(again func(t *testing.T), args ...string) scene {
	return scene{
		act:   func(ctx context.Context, began func(*os.Process)) error { return m.run(ctx, began, args...) },
		holds: func(*testing.T, *replica, bool) {},
		again: func(t *testing.T, _ *replica) {
			t.Helper()
			m.cofre(t, args...)
			if again != nil {
				again(t)
			}
			m.whole(t)
		},
	}
}

// whole fails unless every object opens to its last byte.
func (m *commanded) whole(t *testing.T) {
	t.Helper()
	found, code := m.verified(t, m.bucket, "--read", "all")
	if code != 0 || found.Faults != 0 || found.Read != int64(len(m.bodies)) {
		t.Errorf("verify: exit code %d, %+v", code, found)
	}
}

// served starts the site once more at the end, and fails unless it shows everything and can be written to.
func (m *commanded) served(t *testing.T) {
	t.Helper()
	r := m.start(t, "afterwards")
	for key, p := range m.bodies {
		if etag := r.shows(t, m.bucket, key, p); etag == "" {
			t.Errorf("%s is gone", key)
		}
	}
	p := newPayload(crashSize)
	r.wantObject(t, m.bucket, "afterwards", p, r.put(t, m.bucket, "afterwards", p, nil))
	r.stop(t)
	if _, err := m.rgw.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &m.bucket, Key: aws.String("afterwards")}); err != nil {
		t.Error(err)
	}
}

func TestKilledAtEveryStepOfACommand(t *testing.T) {
	m := newCommanded(t)
	for _, at := range []struct {
		name  string
		stops *stops
	}{{"the storage", &m.storage.stops}, {"the database", &m.database.stops}} {
		t.Run("key rotate at "+at.name, func(t *testing.T) {
			m.atEveryStep(t, at.stops, func(t *testing.T, _ string) scene {
				return m.command(func(t *testing.T) {
					if list := m.cofre(t, "key", "list", "--bucket", m.bucket); strings.Count(list, " active ") != 1 {
						t.Errorf("not one active KEK:\n%s", list)
					}
				}, "key", "rotate", "--bucket", m.bucket)
			})
		})
		t.Run("site rotate at "+at.name, func(t *testing.T) {
			n := 0
			m.atEveryStep(t, at.stops, func(t *testing.T, _ string) scene {
				n++
				return m.rotation(filepath.Join(m.dir, fmt.Sprint("next ", at.stops == &m.storage.stops, n, ".age")))
			})
		})
	}
	t.Run("reencrypt", func(t *testing.T) { m.atEveryStep(t, &m.storage.stops, m.reencryption) })
	t.Run("rebuild", func(t *testing.T) {
		m.atEveryStep(t, &m.storage.stops, func(t *testing.T, _ string) scene {
			m.dropDatabase()
			m.flushRedis()
			m.createDatabase()
			return m.command(nil, "rebuild", "--bucket", m.bucket)
		})
	})
	m.swept(t, m.bucket)
	m.whole(t)
	m.served(t)
}

// reencryption writes the bucket's objects anew under a KEK that was just made. A job that died while the storage was joining parts waits
// for an hour before it goes on with that object (docs/RUNBOOK.md, Jobs): the test takes the job away instead.
func (m *commanded) reencryption(t *testing.T, _ string) scene {
	t.Helper()
	old := m.rawKEK(t, m.bucket, "small").String()
	m.cofre(t, "key", "rotate", "--bucket", m.bucket)
	args := []string{"reencrypt", "--bucket", m.bucket, "--kek", old, "--here"}
	sc := m.command(nil, args...)
	sc.again = func(t *testing.T, _ *replica) {
		t.Helper()
		out, errs, code := m.try(t, args...)
		switch {
		case code == 0:
			if now := m.rawKEK(t, m.bucket, "small").String(); now == old {
				t.Errorf("an object is under the old KEK")
			}
		case strings.Contains(errs, "may still be joining its parts"):
			m.query(t, "DELETE FROM jobs RETURNING encode(id, 'escape')")
		default:
			t.Errorf("reencrypt again: exit code %d: %s%s", code, out, errs)
		}
		m.whole(t)
	}
	return sc
}

// rotation has another identity take the site's place; the next one goes on from there.
func (m *commanded) rotation(next string) scene {
	args := []string{"site", "rotate", "--new", next, "--kms", "file://" + filepath.Join(m.dir, "site.key")}
	return scene{
		act:   func(ctx context.Context, began func(*os.Process)) error { return m.run(ctx, began, args...) },
		holds: func(*testing.T, *replica, bool) {},
		again: func(t *testing.T, _ *replica) {
			t.Helper()
			m.cofre(t, args...)
			for _, s := range []*site{m.site, m.doomed} {
				s.write("site.age", readFile(t, next))
				s.write("site.age.trust.json", readFile(t, next+".trust.json"))
			}
			m.whole(t)
		},
	}
}

// A leaver's KEKs are closed whatever step of its leaving the command was killed at, once it was run to its end.
func TestKilledAtEveryStepOfARevocation(t *testing.T) {
	m := newCommanded(t)
	other := newSiteAs(t, otherUserOf(t), m.systemBucket)
	name := m.write("other.card", readFile(t, other.card(t)))
	m.atEveryStep(t, &m.storage.stops, func(t *testing.T, _ string) scene {
		m.cofre(t, "site", "trust", name, "--bucket", m.bucket, "--as", "member")
		m.cofre(t, "share", "add", "--bucket", m.bucket, "--site", name)
		return m.command(func(t *testing.T) {
			list := m.cofre(t, "key", "list", "--bucket", m.bucket)
			for line := range strings.Lines(list) {
				if strings.Contains(line, " active ") && strings.Contains(line, ",") {
					t.Errorf("the leaver has the KEK in use:\n%s", list)
				}
			}
		}, "share", "revoke", "--bucket", m.bucket, "--site", name)
	})
	m.served(t)
}
