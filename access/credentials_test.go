package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cofre/access"
	"cofre/keys"
)

// fakeStore keeps credentials in memory. It can be down, and it can hold its answers back.
type fakeStore struct {
	mu      sync.Mutex // guards all below
	rows    map[string]access.StoredCredential
	down    error
	asked   map[string]int
	release chan struct{} // where not nil, answers wait for it to be closed
}

func (s *fakeStore) StoredCredential(ctx context.Context, id string) (access.StoredCredential, error) {
	s.mu.Lock()
	s.asked[id]++
	release, down := s.release, s.down
	row, ok := s.rows[id]
	s.mu.Unlock()
	if release != nil {
		select {
		case <-release:
		case <-ctx.Done():
			return access.StoredCredential{}, ctx.Err()
		}
	}
	switch {
	case down != nil:
		return access.StoredCredential{}, down
	case !ok:
		return access.StoredCredential{}, fmt.Errorf("look up: %w", access.ErrUnknownAccessKey)
	}
	return row, nil
}

func (s *fakeStore) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *fakeStore) questions(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[id]
}

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type rig struct {
	*access.Credentials
	store  *fakeStore
	clock  *fakeClock
	sealer *access.Sealer
}

const (
	storedID     = "CFRESTORED0000000001"
	storedSecret = access.Secret("stored-secret-0123456789")
	staticID     = "CFRESTATIC0000000001"
	staticSecret = access.Secret("static-secret-0123456789")
)

var grantsJSON = []byte(`[{"bucket":"lab","actions":["read"]}]`)

// newSealer makes the sealer of a site of its own.
func newSealer(t *testing.T) *access.Sealer {
	t.Helper()
	site, err := keys.GenerateIdentity("test")
	if err != nil {
		t.Fatal(err)
	}
	return access.NewSealer(site)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		store:  &fakeStore{rows: map[string]access.StoredCredential{}, asked: map[string]int{}},
		clock:  &fakeClock{now: time.Unix(1_700_000_000, 0)},
		sealer: newSealer(t),
	}
	r.store.rows[storedID] = access.StoredCredential{
		SealedSecret: r.sealer.Seal(storedID, storedSecret), User: "ann", Grants: grantsJSON,
	}
	var err error
	r.Credentials, err = access.NewCredentials(access.Config{
		Static: []access.Credential{{AccessKeyID: staticID, Secret: staticSecret,
			Grants: []access.Grant{{Bucket: "*", Actions: access.AllActions()}}}},
		Store: r.store, Sealer: r.sealer, CacheSize: 4, Clock: r.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) wantSecret(t *testing.T, id string, want access.Secret) {
	t.Helper()
	got, err := r.Secret(context.Background(), id)
	if err != nil {
		t.Fatalf("secret of %s: %v", id, err)
	}
	if got != want.Reveal() {
		t.Fatalf("secret of %s is another one", id)
	}
}

func (r *rig) wantError(t *testing.T, id string, want error) {
	t.Helper()
	secret, err := r.Secret(context.Background(), id)
	if !errors.Is(err, want) || secret != "" {
		t.Fatalf("secret of %s: got %v, want %v", id, err, want)
	}
	who, err := r.Identity(context.Background(), id)
	if !errors.Is(err, want) || who.AccessKeyID != "" || len(who.Grants) != 0 {
		t.Fatalf("identity of %s: got %v, want %v", id, err, want)
	}
}

func TestStoredCredentialGivesSecretAndIdentity(t *testing.T) {
	r := newRig(t)
	r.wantSecret(t, storedID, storedSecret)
	who, err := r.Identity(context.Background(), storedID)
	if err != nil {
		t.Fatal(err)
	}
	if who.AccessKeyID != storedID || who.User != "ann" || who.Anonymous || !who.Allows(access.Read, "lab", "k") || who.Allows(access.Write, "lab", "k") {
		t.Fatalf("got %+v", who)
	}
	if n := r.store.questions(storedID); n != 1 {
		t.Fatalf("the store was asked %d times", n)
	}
}

func TestConfigurationWinsOverStore(t *testing.T) {
	r := newRig(t)
	r.store.rows[staticID] = access.StoredCredential{SealedSecret: r.sealer.Seal(staticID, "another-secret"), Grants: grantsJSON}
	r.wantSecret(t, staticID, staticSecret)
	if n := r.store.questions(staticID); n != 0 {
		t.Fatal("the store was asked for a credential of the configuration")
	}
}

func TestRevocationIsSeenWithinTTL(t *testing.T) {
	for rule, revoke := range map[string]func(*fakeStore){
		"removed": func(s *fakeStore) { delete(s.rows, storedID) },
		"disabled": func(s *fakeStore) {
			row := s.rows[storedID]
			row.Disabled = true
			s.rows[storedID] = row
		},
	} {
		t.Run(rule, func(t *testing.T) {
			r := newRig(t)
			r.wantSecret(t, storedID, storedSecret)
			r.store.change(func() { revoke(r.store) })
			r.clock.advance(access.DefaultTTL)
			r.wantError(t, storedID, access.ErrUnknownAccessKey)
			r.store.change(func() { r.store.down = errors.New("down") })
			r.clock.advance(access.DefaultTTL)
			r.wantError(t, storedID, access.ErrUnavailable) // not brought back by the grace of an outage
		})
	}
}

func TestNewCredentialIsSeenWithinTTL(t *testing.T) {
	r := newRig(t)
	row := r.store.rows[storedID]
	delete(r.store.rows, storedID)
	r.wantError(t, storedID, access.ErrUnknownAccessKey)
	r.store.change(func() { r.store.rows[storedID] = row })
	r.clock.advance(access.DefaultTTL)
	r.wantSecret(t, storedID, storedSecret)
}

func TestUnknownIDIsNotAskedAgainWithinTTL(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.wantError(t, "nobody", access.ErrUnknownAccessKey)
	}
	if n := r.store.questions("nobody"); n != 1 {
		t.Fatalf("the store was asked %d times", n)
	}
}

func TestGuessedIDsNeitherGrowMemoryNorPushOutCredentials(t *testing.T) {
	r := newRig(t)
	r.wantSecret(t, storedID, storedSecret)
	for i := range 100 {
		r.wantError(t, fmt.Sprintf("guess-%d", i), access.ErrUnknownAccessKey)
	}
	r.wantSecret(t, storedID, storedSecret)
	if n := r.store.questions(storedID); n != 1 {
		t.Fatalf("the credential was pushed out: the store was asked %d times", n)
	}
	if known, unknown := r.CacheLen(); known != 1 || unknown != 4 {
		t.Fatalf("%d known and %d unknown ids are remembered, want 1 and 4", known, unknown)
	}
}

func TestIDThatNoCredentialCanHaveIsNotAskedFor(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"", "a/b", "a b", "a\x00b", strings.Repeat("x", 129), "caf\u00e9"} {
		r.wantError(t, id, access.ErrUnknownAccessKey)
		if n := r.store.questions(id); n != 0 {
			t.Errorf("the store was asked for %q", id)
		}
	}
}

func TestStoreDownKeepsWhatIsKnownAndNeverSaysUnknown(t *testing.T) {
	r := newRig(t)
	r.wantSecret(t, storedID, storedSecret)
	r.store.change(func() { r.store.down = errors.New("connection refused") })
	r.clock.advance(10 * access.DefaultTTL)
	r.wantSecret(t, storedID, storedSecret)
	r.wantSecret(t, staticID, staticSecret)
	r.wantError(t, "never-seen-before", access.ErrUnavailable)
	r.clock.advance(access.DefaultGrace)
	r.wantError(t, storedID, access.ErrUnavailable)
	r.store.change(func() { r.store.down = nil })
	r.wantSecret(t, storedID, storedSecret)
}

func TestNobodyWaitsForASilentStoreThatIsKnownToBeDown(t *testing.T) {
	r := newRig(t)
	r.wantSecret(t, storedID, storedSecret)
	r.store.change(func() { r.store.down = errors.New("down") })
	r.clock.advance(access.DefaultTTL)
	r.wantSecret(t, storedID, storedSecret) // this question found out
	hold := make(chan struct{})
	r.store.change(func() { r.store.release = hold })
	r.wantSecret(t, storedID, storedSecret) // would hang until the hold is released
	close(hold)
}

func TestOneQuestionServesAllWhoWait(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.store.release = hold
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range cap(errs) {
		wg.Go(func() {
			_, err := r.Secret(context.Background(), storedID)
			errs <- err
		})
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Secret(gone, storedID); !errors.Is(err, access.ErrUnavailable) && err != nil {
		t.Errorf("a client that went away got %v", err)
	}
	close(hold)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("a waiting request got %v", err)
		}
	}
	if n := r.store.questions(storedID); n > 2 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestDamagedCredentialIsRefusedAndIsNotUnknown(t *testing.T) {
	for rule, damage := range map[string]func(*rig, *access.StoredCredential){
		"sealed for another id": func(r *rig, c *access.StoredCredential) { c.SealedSecret = r.sealer.Seal(staticID, storedSecret) },
		"sealed by another site": func(_ *rig, c *access.StoredCredential) {
			c.SealedSecret = newSealer(t).Seal(storedID, storedSecret)
		},
		"no sealed secret":        func(_ *rig, c *access.StoredCredential) { c.SealedSecret = nil },
		"grants are no JSON":      func(_ *rig, c *access.StoredCredential) { c.Grants = []byte("x") },
		"acts on backend as none": func(_ *rig, c *access.StoredCredential) { c.User = access.AnonymousUser },
	} {
		t.Run(rule, func(t *testing.T) {
			r := newRig(t)
			r.wantSecret(t, storedID, storedSecret) // remembered, but what the store says now counts
			row := r.store.rows[storedID]
			damage(r, &row)
			r.store.rows[storedID] = row
			r.clock.advance(access.DefaultTTL)
			_, err := r.Secret(context.Background(), storedID)
			if err == nil || errors.Is(err, access.ErrUnknownAccessKey) || errors.Is(err, access.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), storedSecret.Reveal()) {
				t.Fatal("the error tells the secret")
			}
		})
	}
}

func TestCredentialsRefuseBadConfiguration(t *testing.T) {
	good := access.Credential{AccessKeyID: "someone", Secret: "long-enough"}
	for rule, cfg := range map[string]access.Config{
		"store without sealer": {Store: &fakeStore{}},
		"same id twice":        {Static: []access.Credential{good, good}},
		"short secret":         {Static: []access.Credential{{AccessKeyID: "someone", Secret: "short"}}},
		"blank in secret":      {Static: []access.Credential{{AccessKeyID: "someone", Secret: "long enough"}}},
		"slash in id":          {Static: []access.Credential{{AccessKeyID: "some/one", Secret: good.Secret}}},
		"bad grant":            {Static: []access.Credential{{AccessKeyID: "someone", Secret: good.Secret, Grants: []access.Grant{{}}}}},
	} {
		if _, err := access.NewCredentials(cfg); err == nil {
			t.Errorf("%s was taken", rule)
		}
	}
	if _, err := access.NewCredentials(access.Config{Static: []access.Credential{good}}); err != nil {
		t.Errorf("a good one was refused: %v", err)
	}
}

func TestAnonymousMayDoNothingByDefault(t *testing.T) {
	who := newRig(t).Anonymous()
	if !who.Anonymous || who.User != access.AnonymousUser || who.Allows(access.Read, "lab", "k") || who.AllowsList("lab", "") || who.AllowsBucket("lab") {
		t.Fatalf("got %+v", who)
	}
}
