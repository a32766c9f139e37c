package proxy

import "cofre/access"

// mayDelete says whether the client may delete an object in the way that it asks for. To go past governance retention is
// more than a delete, and a right of its own in S3 (s3:BypassGovernanceRetention); here it is an administrator's.
func (rq *request) mayDelete(key string) bool {
	if !rq.who.Allows(access.Delete, rq.call.Bucket, key) {
		return false
	}
	return rq.call.Header.Get("X-Amz-Bypass-Governance-Retention") == "" || rq.who.Allows(access.Admin, rq.call.Bucket, key)
}
