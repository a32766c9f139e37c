package main

import (
	"fmt"
	"slices"
	"strings"
)

const resourceARN = "arn:aws:s3:::"

// Sids, behind ownSid. In a bucket's own policy they are about that bucket; in the system bucket's, those that begin with "Shared"
// end in the bucket that they are about.
const (
	membersBucketSid  = "MembersBucket"
	membersObjectsSid = "MembersObjects"
	depositLookSid    = "Deposit"
	depositWriteSid   = "DepositWrite" // and the user: each has prefixes of its own
	sharedKeysSid     = "SharedKeys"
	sharedDepositSid  = "SharedDeposit"
	sharedListSid     = "SharedList"
	scratchSid        = "Scratch"
	scratchListSid    = "ScratchList"
)

var (
	wholeSids = []string{membersBucketSid, membersObjectsSid, depositLookSid, scratchSid, scratchListSid}
	namedSids = []string{depositWriteSid, sharedKeysSid, sharedDepositSid, sharedListSid} // of which each has a name behind it
)

// isOwn says whether cofre writes statements of that Sid.
func isOwn(sid string) bool {
	name, ok := strings.CutPrefix(sid, ownSid)
	return ok && (slices.Contains(wholeSids, name) || slices.ContainsFunc(namedSids, func(begins string) bool { return strings.HasPrefix(name, begins) }))
}

// bucketSharers reads who shares a bucket from the policy on it.
func bucketSharers(bucket string, own []statement) (s sharers, err error) {
	for _, st := range own {
		switch sid := strings.TrimPrefix(st.Sid, ownSid); {
		case sid == membersObjectsSid:
			s.members = st.Principal.AWS
		case strings.HasPrefix(sid, depositWriteSid):
			prefixes, err := depositPrefixes(bucket, st.Resource)
			if err != nil {
				return s, changedByHand(st.Sid, err)
			}
			for _, u := range st.Principal.AWS {
				s.deposits = append(s.deposits, depositUser{user: u, prefixes: prefixes})
			}
		}
	}
	return s, nil
}

// depositPrefixes reads back the prefixes of a depositor; none for the whole bucket.
func depositPrefixes(bucket string, resources []string) (prefixes []string, err error) {
	for _, r := range resources {
		prefix, inside := strings.CutPrefix(r, resourceARN+bucket+"/")
		prefix, open := strings.CutSuffix(prefix, "*")
		switch {
		case !inside || !open:
			return nil, fmt.Errorf("its resource %q is not a prefix of the bucket", r)
		case prefix == "":
			return nil, nil
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func bucketStatements(bucket string, s sharers) (list []statement) {
	whole, objects := resourceARN+bucket, resourceARN+bucket+"/"
	list = allow(list, membersBucketSid, s.members, texts{
		"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation", "s3:GetBucketVersioning",
	}, texts{whole})
	list = allow(list, membersObjectsSid, s.members, texts{
		"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectTagging", "s3:PutObjectTagging",
		"s3:DeleteObjectTagging", "s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload",
	}, texts{objects + "*"})
	// To write includes to look at what was just written: a lost answer is settled by a HEAD.
	list = allow(list, depositLookSid, s.depositors(), texts{"s3:ListBucket", "s3:GetBucketVersioning", "s3:GetObject"}, texts{whole, objects + "*"})
	for _, d := range s.deposits {
		where := texts{objects + "*"}
		if len(d.prefixes) > 0 {
			where = nil
		}
		for _, p := range d.prefixes {
			where = append(where, objects+p+"*")
		}
		list = allow(list, depositWriteSid+sidText(strings.TrimPrefix(d.user, userARN)), []string{d.user},
			texts{"s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"}, where)
	}
	return list
}

// systemSharers is who shares which bucket, by the policy of the system bucket, in the order in which they stand there.
type systemSharers struct {
	buckets []string
	of      map[string]*sharers
}

// bucket gives the sharers of one bucket, to be changed.
func (s *systemSharers) bucket(name string) *sharers {
	if s.of[name] == nil {
		s.buckets = append(s.buckets, name)
		s.of[name] = &sharers{}
	}
	return s.of[name]
}

func readSystemSharers(system string, own []statement) (systemSharers, error) {
	s := systemSharers{of: map[string]*sharers{}}
	for _, st := range own {
		sid := strings.TrimPrefix(st.Sid, ownSid)
		ofMembers, members := strings.CutPrefix(sid, sharedKeysSid)
		ofDepositors, depositors := strings.CutPrefix(sid, sharedDepositSid)
		if !members && !depositors {
			continue // it follows from these two
		}
		rest, inside := strings.CutPrefix(st.Resource[0], resourceARN+system+"/buckets/")
		bucket, _, _ := strings.Cut(rest, "/")
		if name := sidText(bucket); !inside || members && ofMembers != name || depositors && ofDepositors != name {
			return s, changedByHand(st.Sid, fmt.Errorf("its resource %q is not of its bucket", st.Resource[0]))
		}
		who := s.bucket(bucket)
		if members {
			who.members = st.Principal.AWS
			continue
		}
		for _, u := range st.Principal.AWS {
			who.deposits = append(who.deposits, depositUser{user: u})
		}
	}
	return s, nil
}

// systemStatements gives members what lies below a bucket's own prefix in the system bucket, where each judges by its signature what
// others wrote. Depositors write there and remove nothing: a layout that is gone is an object that is gone. All get the two prefixes
// in which every cofre keeps things of its own for minutes.
func systemStatements(system string, s systemSharers) (list []statement) {
	whole := resourceARN + system
	var everyone []string
	for _, bucket := range s.buckets {
		who, below, name := s.of[bucket], "buckets/"+bucket+"/", sidText(bucket)
		list = allow(list, sharedKeysSid+name, who.members, texts{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, texts{whole + "/" + below + "*"})
		list = allow(list, sharedDepositSid+name, who.depositors(), texts{"s3:GetObject", "s3:PutObject"},
			texts{whole + "/" + below + "keks/*", whole + "/" + below + "layouts/*"})
		list = allowList(list, sharedListSid+name, who.all(), whole, below+"*")
		for _, u := range who.all() {
			if !slices.Contains(everyone, u) {
				everyone = append(everyone, u)
			}
		}
	}
	list = allow(list, scratchSid, everyone, texts{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, texts{whole + "/forms/*", whole + "/probe/*"})
	return allowList(list, scratchListSid, everyone, whole, "forms/*", "probe/*")
}

func allowList(list []statement, sid string, users []string, bucket string, prefixes ...string) []statement {
	before := len(list)
	if list = allow(list, sid, users, texts{"s3:ListBucket"}, texts{bucket}); len(list) > before {
		list[before].Condition = map[string]map[string]texts{"StringLike": {"s3:prefix": prefixes}}
	}
	return list
}
