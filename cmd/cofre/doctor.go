package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/backend"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/proxy"
)

const (
	doctorTimeout = 10 * time.Second // for each check
	// maxSkew is what S3 allows between the time in a signature and the clock of whoever checks it.
	maxSkew            = 15 * time.Minute
	systemBucketAdvice = "the site's backend user must be able to make and use backend.system_bucket; where that is another site's, its owner has to\n" +
		"      let this one in: `cofre share policy --bucket B --backend-user THIS-SITE'S-USER --for system` there, for a bucket that this site uses"
	// warnSkew is a difference that a machine whose clock is kept right never has.
	warnSkew = 5 * time.Second
)

func doctorCommand(a app) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try everything that serve needs, and say what does not work and what to do",
		Long: "Try everything that serve needs: the identity and its trust list, the metadata store, the cache, the backend and\n" +
			"each of its users, the system bucket, the clocks. One object is written to the system bucket and removed again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := src.load(a)
			if err != nil {
				return err
			}
			d := &doctor{cfg: cfg, out: a.stdout}
			d.examine(cmd.Context())
			if d.failed > 0 {
				return fmt.Errorf("%d of %d checks failed", d.failed, d.done)
			}
			return nil
		},
	}
	src.configFlag(cmd, a)
	return cmd
}

// doctor runs checks one after the other. A check whose ground another one has found missing is left out.
type doctor struct {
	cfg          Config
	out          io.Writer
	done, failed int

	identity *keys.Identity
	store    metadata.Store
	backend  *backend.Client
}

// check runs one check and prints a line. The finding is a short text for success; advice says what to do about failure.
func (d *doctor) check(ctx context.Context, name, advice string, try func(context.Context) (finding string, err error)) bool {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	d.done++
	finding, err := try(ctx)
	if err != nil {
		d.failed++
		fmt.Fprintf(d.out, "FAIL  %s: %v\n      %s\n", name, err, advice)
		return false
	}
	fmt.Fprintf(d.out, "ok    %s: %s\n", name, finding)
	return true
}

func (d *doctor) examine(ctx context.Context) {
	haveIdentity := d.check(ctx, "site identity", "check site.identity, and the passphrase or the KMS that guards it; see `cofre site show`", d.openIdentity)
	haveStore := d.check(ctx, "metadata store", "check metadata.url, that the server runs, and that its user may make tables", d.openStore)
	if haveStore {
		defer func() { d.store.Close() }() // which may be the cache by then
		if d.cfg.Cache.Redis != "" {
			d.check(ctx, "redis", "check cache.redis and that the server runs; without it cofre is slower and nothing else", d.tryRedis)
		}
	}
	if haveIdentity && haveStore {
		d.check(ctx, "trust list", "if the store belongs to another site, give this one a store of its own", d.readTrust)
	}
	if !d.check(ctx, "backend", "check backend.endpoint, ca_file, access_key and secret_key", d.reachBackend) {
		return
	}
	defer d.backend.Close()
	if d.check(ctx, "system bucket", systemBucketAdvice, d.useSystemBucket) {
		d.check(ctx, "clock", "keep the clocks of both machines right with NTP", d.compareClocks)
	}
	for _, u := range d.cfg.Backend.Users {
		d.check(ctx, "backend user "+u.Name, "check its access_key and secret_key", func(ctx context.Context) (string, error) {
			return "its keys are accepted", d.listBuckets(ctx, access.BackendUser(u.Name))
		})
	}
}

func (d *doctor) openIdentity(ctx context.Context) (string, error) {
	id, by, err := readIdentity(ctx, d.cfg)
	if err != nil {
		return "", err
	}
	d.identity = id
	card := id.Card()
	if by.key == nil {
		return fmt.Sprintf("%s, %s, guarded by: %s", card.Name, card.ID, by), nil
	}
	return fmt.Sprintf("%s, %s, guarded by: %s, which answers and opens it", card.Name, card.ID, by), nil
}

func (d *doctor) openStore(ctx context.Context) (string, error) {
	var err error
	d.store, err = openStore(ctx, d.cfg)
	if err != nil {
		return "", err
	}
	skew := time.Until(d.store.Now()).Round(time.Millisecond)
	return fmt.Sprintf("answers; its clock is at %+v from this machine's, or a little later", skew), nil
}

// tryRedis looks something up the way every reader does. The cache hides its failures, but counts them.
func (d *doctor) tryRedis(ctx context.Context) (string, error) {
	cache, err := rediscache.New(d.store, d.cfg.Cache.Redis.Reveal(), rediscache.Config{Timeout: doctorTimeout / 5})
	if err != nil {
		return "", err
	}
	d.store = cache // closed together
	_, err = cache.Latest(ctx, d.cfg.Backend.SystemBucket, "doctor", "")
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return "", err
	}
	if cache.Stats().Failures > 0 {
		return "", errors.New("does not answer as a Redis server should")
	}
	return "answers", nil
}

func (d *doctor) readTrust(ctx context.Context) (string, error) {
	t, err := openTrust(ctx, d.identity, trustPath(d.cfg.Site.Identity), d.store)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("number %d, %d entries", t.Current().Number(), len(t.Current().Entries())), nil
}

func (d *doctor) reachBackend(ctx context.Context) (string, error) {
	var err error
	if d.backend, err = openBackend(d.cfg, outside{}, prometheus.NewRegistry()); err != nil {
		return "", err
	}
	if err := d.listBuckets(ctx, access.SiteUser); err != nil {
		return "", err
	}
	return d.cfg.Backend.Endpoint + " answers, and the site user's keys are accepted", nil
}

func (d *doctor) listBuckets(ctx context.Context, as access.BackendUser) error {
	resp, err := d.backend.Do(ctx, as, &proxy.BackendRequest{Method: http.MethodGet})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// useSystemBucket writes, reads and removes one object there, as keys and layouts will be.
func (d *doctor) useSystemBucket(ctx context.Context) (string, error) {
	system := proxy.NewSystem(d.backend, d.cfg.Backend.SystemBucket)
	if err := system.Ensure(ctx); err != nil {
		return "", fmt.Errorf("make bucket: %w", err)
	}
	// Below the prefix that a guest in another site's system bucket is given for such things.
	name, doc := "probe/"+access.NewAccessKeyID(), []byte("written by cofre doctor")
	if err := system.Put(ctx, name, doc); err != nil {
		return "", fmt.Errorf("write object: %w", err)
	}
	got, err := system.Get(ctx, name)
	if err == nil && !bytes.Equal(got, doc) {
		err = errors.New("what was read is not what was written")
	}
	if err != nil {
		return "", fmt.Errorf("read object: %w", err)
	}
	resp, err := d.backend.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodDelete, Bucket: d.cfg.Backend.SystemBucket, Key: name})
	if err != nil {
		return "", fmt.Errorf("remove object: %w", err)
	}
	return d.cfg.Backend.SystemBucket + " can be written, read and deleted in", resp.Body.Close()
}

// compareClocks compares this machine's clock with the Date that the backend answers, which is good to a second.
func (d *doctor) compareClocks(ctx context.Context) (string, error) {
	// Not of the system bucket: a guest there may not ask for the bucket itself.
	resp, err := d.backend.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return "the backend tells no time", nil
	}
	skew := time.Since(there).Round(time.Second)
	if skew.Abs() > warnSkew {
		return "", fmt.Errorf("this machine's clock is %v from the backend's; requests are refused from %v on", skew, maxSkew)
	}
	return fmt.Sprintf("within %v of the backend's", warnSkew), nil
}
