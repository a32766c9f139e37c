package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/backend"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/proxy"
	"cofre/s3api"
)

// sharePolicy is what a policy is asked for.
type sharePolicy struct {
	source
	buckets                   []string
	users, deposits, prefixes []string
	leaving                   []string
	only                      string // bucket or system; empty for both
}

const (
	onlyBucket = "bucket"
	onlySystem = "system"
	// maxPolicy bounds what is read of a policy; AWS and RGW allow 20 KiB.
	maxPolicy = 1 << 20
)

func sharePolicyCommand(a app) *cobra.Command {
	var p sharePolicy
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print the policies that the sites' users need on the storage",
		Long: "Print two kinds of bucket policy in JSON: for each bucket that is named, which its owner puts there, and for the system\n" +
			"bucket, which its owner puts there. What is there now is read and kept, other buckets and statements that are not\n" +
			"cofre's included; where it cannot be read, a warning says so. Nothing is changed on the storage.\n\n" +
			"Name the backend user of every site, the owner's too: on Ceph RGW an object belongs to whoever wrote it, and its\n" +
			"bucket's owner may not read it without this policy. A site finds out which user it is by\n" +
			"aws s3api list-buckets --query Owner.ID\n\n" +
			"  cofre share policy --bucket b --backend-user hospital-a --backend-user hospital-b\n" +
			"  cofre share policy --bucket b --deposit-user clinic --prefix from-clinic/ --for bucket > b.json\n" +
			"  cofre share policy --bucket b --remove-user hospital-b --for system > system.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.print(cmd.Context(), a) },
	}
	p.flags(cmd, a)
	f := cmd.Flags()
	f.StringArrayVar(&p.buckets, "bucket", nil, "a bucket (repeatable)")
	f.StringArrayVar(&p.users, "backend-user", nil, "a user of the storage who reads and writes, as its policies name it: a user id of RGW, or a whole ARN (repeatable)")
	f.StringArrayVar(&p.deposits, "deposit-user", nil, "the same for a site that only deposits (repeatable)")
	f.StringArrayVar(&p.prefixes, "prefix", nil, "with --deposit-user: it may write keys that begin so, and no others (repeatable; the prefixes of the trust list)")
	f.StringArrayVar(&p.leaving, "remove-user", nil, "a user who gets no rights any more (repeatable)")
	f.StringVar(&p.only, "for", "", "print one document alone: bucket or system")
	require(cmd, "bucket")
	return cmd
}

// check refuses what makes no sense together.
func (p *sharePolicy) check() error {
	switch {
	case len(p.users)+len(p.deposits)+len(p.leaving) == 0:
		return usagef("name a user: --backend-user, --deposit-user or --remove-user")
	case p.only != "" && p.only != onlyBucket && p.only != onlySystem:
		return usagef("--for is %q: bucket or system", p.only)
	case p.only == onlyBucket && len(p.buckets) > 1:
		return usagef("--for bucket prints one document: name one bucket")
	case len(p.prefixes) > 0 && len(p.deposits) == 0:
		return usagef("--prefix says where a --deposit-user may write: name one")
	}
	return checkPrefixes(p.prefixes)
}

func checkPrefixes(prefixes []string) error {
	for _, name := range prefixes {
		if name == "" || strings.ContainsAny(name, "*?$") {
			return usagef("prefix %q: policies give \"*\", \"?\" and \"$\" a meaning of their own, and an empty one would allow everything", name)
		}
	}
	return nil
}

func (p *sharePolicy) print(ctx context.Context, a app) error {
	if err := p.check(); err != nil {
		return err
	}
	cfg, err := p.load(a)
	if err != nil {
		return err
	}
	client, err := openBackend(cfg, outside{}, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer client.Close()
	w := policyPrinter{app: a, cfg: cfg, backend: client, bare: p.only != "", leaving: p.leaving}
	if p.only != onlySystem {
		for _, bucket := range p.buckets {
			if err := p.printBucket(ctx, &w, bucket); err != nil {
				return err
			}
		}
	}
	if p.only != onlyBucket {
		return p.printSystem(ctx, &w)
	}
	return nil
}

func (p *sharePolicy) printBucket(ctx context.Context, w *policyPrinter, bucket string) error {
	prefixes := p.prefixes
	if len(p.deposits) > 0 && len(prefixes) == 0 {
		var err error
		if prefixes, err = w.trustedPrefixes(bucket); err != nil {
			return err
		}
	}
	doc, err := w.current(ctx, bucket)
	if err != nil {
		return err
	}
	s, err := bucketSharers(bucket, doc.Own)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	s.add(p.users, p.deposits, prefixes)
	w.leave(bucket, doc, s.remove)
	doc.Own = bucketStatements(bucket, s)
	return w.print("bucket", bucket, doc)
}

func (p *sharePolicy) printSystem(ctx context.Context, w *policyPrinter) error {
	system := w.cfg.Backend.SystemBucket
	doc, err := w.current(ctx, system)
	if err != nil {
		return err
	}
	s, err := readSystemSharers(system, doc.Own)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", system, err)
	}
	for _, bucket := range p.buckets {
		s.bucket(bucket).add(p.users, p.deposits, nil)
	}
	w.leave(system, doc, func(user string) (was bool) {
		for _, bucket := range p.buckets {
			was = s.bucket(bucket).remove(user) || was
		}
		return was
	})
	doc.Own = systemStatements(system, s)
	return w.print("system bucket", system, doc)
}

// policyPrinter reads policies from the storage, and prints what shall take their place.
type policyPrinter struct {
	app
	cfg     Config
	backend *backend.Client
	bare    bool // print nothing but JSON
	leaving []string
}

func (w *policyPrinter) warn(format string, args ...any) {
	fmt.Fprintf(w.stderr, "cofre: "+format+"\n", args...)
}

// current gives the policy that is on a bucket, or an empty one where there is none or it cannot be read; who is to be taken out of
// it then cannot be.
func (w *policyPrinter) current(ctx context.Context, bucket string) (policyDoc, error) {
	text, err := readPolicy(ctx, w.backend, bucket)
	switch {
	case err == nil:
		doc, err := parsePolicy(text)
		if err != nil {
			return doc, fmt.Errorf("bucket %s: %w", bucket, err)
		}
		return doc, nil
	case len(w.leaving) > 0:
		return policyDoc{}, fmt.Errorf("read policy of bucket %s, to take users out of it: %w: run this as the site whose backend user owns the bucket, or with --for for the other one", bucket, err)
	}
	w.warn("warning: the policy of bucket %s could not be read (%v): what is printed is for these users alone. Putting it there replaces the whole policy: add by hand what is there already.", bucket, err)
	return parsePolicy(nil)
}

// readPolicy gives nothing where a bucket has no policy, or is not there yet.
func readPolicy(ctx context.Context, client *backend.Client, bucket string) ([]byte, error) {
	var q s3api.Query
	q.Set("policy", "")
	resp, err := client.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	var refused *s3api.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err == nil && len(text) > maxPolicy {
		err = errors.New("it is too large")
	}
	return text, err
}

// leave takes out who leaves, and says where that was nobody or is not all.
func (w *policyPrinter) leave(bucket string, doc policyDoc, remove func(user string) bool) {
	for _, user := range w.leaving {
		if !remove(user) {
			w.warn("warning: the policy of bucket %s did not give %s anything", bucket, user)
		}
		if sids := doc.naming(user); len(sids) > 0 {
			w.warn("warning: statements of the policy of bucket %s that are not cofre's still name %s: %s", bucket, user, strings.Join(sids, ", "))
		}
	}
}

func (w *policyPrinter) print(kind, bucket string, doc policyDoc) error {
	if len(doc.Own)+len(doc.Foreign) == 0 {
		w.warn("nothing is left of the policy of %s %s: as its owner, run\n  aws --endpoint-url %s s3api delete-bucket-policy --bucket %s", kind, bucket, w.cfg.Backend.Endpoint, bucket)
	} else {
		w.warn("policy of %s %s: save it as a file, and as the bucket's owner run\n  aws --endpoint-url %s s3api put-bucket-policy --bucket %s --policy file://FILE", kind, bucket, w.cfg.Backend.Endpoint, bucket)
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encode policy: %w", err)
	}
	if !w.bare {
		fmt.Fprintf(w.stdout, "# policy of %s %s\n", kind, bucket)
	}
	_, err = fmt.Fprintf(w.stdout, "%s\n", text)
	return err
}

// trustedPrefixes gives those that the trust list beside the identity has for the bucket. Which user of the storage a site is nobody
// can tell, so where depositors have different ones a person has to say it. The list's signature is not checked, for which the
// identity would have to be opened: what was found is told, and the policy is for a person to read and put.
func (w *policyPrinter) trustedPrefixes(bucket string) ([]string, error) {
	var prefixes []string
	if doc, err := agefile.ReadTrustList(trustPath(w.cfg.Site.Identity)); err == nil {
		if list, err := keys.InspectTrustList(doc); err == nil {
			var alike bool
			if prefixes, alike = list.DepositPrefixes(bucket); !alike {
				return nil, usagef("several sites deposit in bucket %s, and not below the same prefixes: say by --prefix where this user may write", bucket)
			}
		}
	}
	if len(prefixes) == 0 {
		w.warn("warning: without --prefix a depositor may overwrite any object of bucket %s", bucket)
		return nil, nil
	}
	w.warn("as the trust list has it, who deposits may write below: %s", strings.Join(prefixes, ", "))
	return prefixes, checkPrefixes(prefixes)
}
