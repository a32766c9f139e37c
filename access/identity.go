package access

import "slices"

// Identity is who makes a request: a credential, or anybody. The zero value may do nothing.
type Identity struct {
	AccessKeyID string // empty when anonymous
	Anonymous   bool
	User        BackendUser // under which the identity's calls act on the backend
	Grants      []Grant
}

// Allows says whether the identity may do something to one object, or, where key is empty, to the bucket itself. A grant
// with prefixes covers no bucket itself, unless a pattern of it is a lone "*".
func (i Identity) Allows(a Action, bucket, key string) bool {
	return slices.ContainsFunc(i.Grants, func(g Grant) bool {
		return slices.Contains(g.Actions, a) && g.coversBucket(bucket) && g.coversKey(key)
	})
}

// AllowsList says whether the identity may list the keys that begin with prefix. One grant of [List] must cover every
// key that such a listing could show: a grant for "home/ann/" allows listing "home/ann/" and "home/ann/2026/", but
// neither "home/" nor the whole bucket, which would show the names of other people's objects.
func (i Identity) AllowsList(bucket, prefix string) bool {
	return slices.ContainsFunc(i.Grants, func(g Grant) bool {
		return slices.Contains(g.Actions, List) && g.coversBucket(bucket) && g.coversListing(prefix)
	})
}

// AllowsBucket says whether any grant speaks of the bucket, whatever it allows there. ListBuckets shows just these.
func (i Identity) AllowsBucket(bucket string) bool {
	return slices.ContainsFunc(i.Grants, func(g Grant) bool { return g.coversBucket(bucket) })
}

// BucketRule says what requests without credentials may do in the buckets that a pattern names.
type BucketRule struct {
	Bucket   string   // pattern
	Actions  []Action // none: nothing
	Prefixes []string // as in a Grant
}

// AnonymousIdentity gives the identity of requests without credentials. The first rule whose pattern matches a bucket is
// the only one that speaks of it, so that a closed bucket stays closed under a later and wider pattern.
func AnonymousIdentity(rules []BucketRule) Identity {
	id := Identity{Anonymous: true, User: AnonymousUser}
	var earlier []string
	for _, r := range rules {
		if len(r.Actions) > 0 {
			id.Grants = append(id.Grants, Grant{
				Bucket: r.Bucket, Prefixes: r.Prefixes, Actions: r.Actions, except: slices.Clone(earlier),
			})
		}
		earlier = append(earlier, r.Bucket)
	}
	return id
}
