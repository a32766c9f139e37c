package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"cofre/keys"
	"cofre/keys/agefile"
)

// explainMissing says what to do about an identity file that is not there. Other errors are given as they are.
func explainMissing(cfg Config, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w\n%s", err, missingAdvice(cfg.Site))
}

// missingAdvice is what to do where the identity file is missing: who can open what the site sealed is known from the
// configuration, and from the trust list that lies beside the file.
func missingAdvice(c SiteConfig) string {
	var cards []keys.Card
	for _, path := range c.Recovery {
		if card, err := readCard(path); err == nil { // a file that cannot be read is reported by itself
			cards = append(cards, card)
		}
	}
	doc, listErr := agefile.ReadTrustList(trustPath(c.Identity))
	if list, err := keys.InspectTrustList(doc); listErr == nil && err == nil {
		cards = append(cards, list.RecoveryIdentities()...)
	}
	if len(cards) == 0 && errors.Is(listErr, keys.ErrNoTrustList) {
		return "for a new site, make it with `cofre site init`; where there was one, restore the file from its copy: no recovery identity is known here"
	}
	if len(cards) == 0 {
		return "restore the file from its copy: no recovery identity is known here, and without the file nothing that only this site could open can be opened"
	}
	var advice strings.Builder
	var told []keys.SiteID
	for _, card := range cards {
		if !slices.Contains(told, card.ID) {
			told = append(told, card.ID)
			fmt.Fprintf(&advice, "recovery identity %q can open what this site sealed; its fingerprint is %s\n", card.Name, card.Fingerprint())
		}
	}
	advice.WriteString("restore the file from its copy; where there is none, open the recovery identity (`cofre site reseal --share ...` where it was split), name its file\n" +
		"as site.identity in a configuration with an empty store, and run `cofre rebuild`: docs/KEYS.md, The identity is lost")
	return advice.String()
}

const (
	// recoveryRound is how often grants are looked at although nobody changed the trust list: what other members made, and what
	// the storage lost.
	recoveryRound = 10 * time.Minute
	// recoveryRetry is when it is tried again after something failed.
	recoveryRetry = time.Minute
	// bucketPage is how many bucket names are held at a time.
	bucketPage = 1000
)

// recoveryKeeper sees to it that every recovery identity of the trust list has a grant of every KEK.
type recoveryKeeper struct {
	site    *site
	log     *zap.Logger
	missing prometheus.Gauge
}

func newRecoveryKeeper(s *site, log *zap.Logger, registry prometheus.Registerer) *recoveryKeeper {
	return &recoveryKeeper{site: s, log: log, missing: promauto.With(registry).NewGauge(prometheus.GaugeOpts{
		Name: "cofre_recovery_grants_missing",
		Help: "Grants that recovery identities should have and could not be given when it was last looked, at least; NaN before that. Until it is 0 they do not open everything.",
	})}
}

// run looks at the start, after each change of the trust list, and once in a while, until ctx ends.
func (k *recoveryKeeper) run(ctx context.Context) {
	tick := time.NewTicker(trustRefresh)
	defer tick.Stop()
	var seen uint64
	var next time.Time
	for {
		if number := k.site.trust.Current().Number(); number != seen || !time.Now().Before(next) {
			if number != seen {
				k.missing.Set(math.NaN()) // whoever waits for 0 must not be told of another list
			}
			seen, next = number, time.Now().Add(recoveryRound)
			if !k.round(ctx) {
				next = time.Now().Add(recoveryRetry)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round grants what is missing in all buckets of which the store has KEKs, and says whether all of it worked.
func (k *recoveryKeeper) round(ctx context.Context) bool {
	if len(k.site.trust.Current().RecoveryIdentities()) == 0 {
		k.missing.Set(0)
		return true
	}
	var total keys.RecoveryGrants
	complete := true
	err := eachKEKBucket(ctx, k.site.store, func(bucket string) error {
		done, err := k.site.ring.GrantRecovery(ctx, bucket)
		total.Granted += done.Granted
		total.Missing += done.Missing
		if err != nil && ctx.Err() == nil {
			complete = false
			if done.Missing == 0 {
				total.Missing++ // how many is not known, and none would be a lie
			}
			k.log.Warn("recovery identities lack grants: trying again", zap.String("bucket", bucket), zap.Int("missing", done.Missing), zap.Error(err))
		}
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return true
	}
	if err != nil {
		k.log.Warn("recovery identities may lack grants: trying again", zap.Error(err))
		k.missing.Set(float64(max(total.Missing, 1)))
		return false
	}
	k.missing.Set(float64(total.Missing))
	if total.Granted > 0 {
		k.log.Info("recovery identities were granted KEKs", zap.Int("grants", total.Granted), zap.Int("missing", total.Missing))
	}
	return complete
}

// eachKEKBucket visits every bucket of which the store has KEKs, in order.
func eachKEKBucket(ctx context.Context, store keys.Store, visit func(bucket string) error) error {
	for after := ""; ; {
		names, err := store.KEKBuckets(ctx, after, bucketPage)
		if err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
		for _, bucket := range names {
			if err := visit(bucket); err != nil {
				return err
			}
		}
		if len(names) < bucketPage {
			return nil
		}
		after = names[len(names)-1]
	}
}
