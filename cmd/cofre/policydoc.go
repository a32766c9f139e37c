package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// policyDoc is a bucket policy in AWS's language. Statements that cofre did not write are kept as they came.
type policyDoc struct {
	ID      string            `json:"Id,omitempty"`
	Version string            `json:"Version"`
	Foreign []json.RawMessage `json:"-"`
	Own     []statement       `json:"-"`
}

// statement is what cofre writes of a policy. Its Sid says which it is.
type statement struct {
	Sid       string
	Effect    string
	Principal awsPrincipal
	Action    texts
	Resource  texts
	Condition map[string]map[string]texts `json:",omitempty"`
}

type awsPrincipal struct{ AWS texts }

// texts is a list that AWS gives back as a plain string where it has one element.
type texts []string

func (t *texts) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*t = texts{""}
		return json.Unmarshal(text, &(*t)[0])
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// ownSid begins the Sid of every statement that is cofre's.
const ownSid = "Cofre"

// parsePolicy takes a policy apart into cofre's own statements and others. Empty text is a policy that is not there yet.
func parsePolicy(text []byte) (policyDoc, error) {
	p := policyDoc{Version: "2012-10-17"}
	if len(bytes.TrimSpace(text)) == 0 {
		return p, nil
	}
	var wire struct {
		policyDoc
		Statement json.RawMessage
	}
	wire.Version = p.Version
	if err := json.Unmarshal(text, &wire); err != nil {
		return p, fmt.Errorf("read policy: %w", err)
	}
	p = wire.policyDoc
	all := []json.RawMessage{wire.Statement}
	if bytes.HasPrefix(bytes.TrimSpace(wire.Statement), []byte("[")) {
		all = nil
		if err := json.Unmarshal(wire.Statement, &all); err != nil {
			return p, fmt.Errorf("read statements of policy: %w", err)
		}
	}
	for _, raw := range all {
		var named struct{ Sid string }
		if err := json.Unmarshal(raw, &named); err != nil {
			return p, fmt.Errorf("read statement of policy: %w", err)
		}
		if !isOwn(named.Sid) {
			p.Foreign = append(p.Foreign, raw)
			continue
		}
		s, err := parseOwn(raw)
		if err != nil {
			return p, changedByHand(named.Sid, err)
		}
		p.Own = append(p.Own, s)
	}
	return p, nil
}

// parseOwn reads one of cofre's own statements and refuses what cofre does not write: it is made anew from its users, and a condition
// that somebody added would be lost, which gives away more than they meant.
func parseOwn(raw json.RawMessage) (s statement, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	if s.Effect != "Allow" || len(s.Resource) == 0 || len(s.Condition) > 0 && s.Condition["StringLike"]["s3:prefix"] == nil {
		return s, errors.New("it has another effect, no resource, or a condition")
	}
	return s, nil
}

func changedByHand(sid string, err error) error {
	return fmt.Errorf("statement %s of the policy was changed by hand (%w): give what you added a statement with a Sid of its own", sid, err)
}

// MarshalJSON puts the others' statements first, in their order.
func (p policyDoc) MarshalJSON() ([]byte, error) {
	type plain policyDoc // without this method
	all := make([]any, 0, len(p.Foreign)+len(p.Own))
	for _, raw := range p.Foreign {
		all = append(all, raw)
	}
	for _, s := range p.Own {
		all = append(all, s)
	}
	return json.Marshal(struct {
		plain
		Statement []any
	}{plain(p), all})
}

// naming gives the Sids of others' statements that name a user.
func (p policyDoc) naming(user string) (sids []string) {
	quoted, err := json.Marshal(arn(user))
	if err != nil {
		panic(err) // a string
	}
	for _, raw := range p.Foreign {
		var s struct {
			Sid       string
			Principal json.RawMessage
		}
		if json.Unmarshal(raw, &s) == nil && bytes.Contains(s.Principal, quoted) {
			sids = append(sids, fmt.Sprintf("%q", s.Sid))
		}
	}
	return sids
}

const userARN = "arn:aws:iam:::user/"

// arn names a user of the storage as policies do: an id of RGW's is made an ARN.
func arn(user string) string {
	if strings.HasPrefix(user, "arn:") {
		return user
	}
	return userARN + user
}

// sidText writes a name in letters and digits, which is all that AWS allows in a Sid: other bytes are "X" and their hex.
func sidText(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "X%02x", c)
		}
	}
	return b.String()
}

// sharers is who may do what with one bucket, each by ARN, in the order of the policy.
type sharers struct {
	members []string
	// deposits is the depositors, and the key prefixes below which they may write; none means everywhere.
	deposits []depositUser
}

type depositUser struct {
	user     string
	prefixes []string
}

func (s *sharers) add(members, deposits, prefixes []string) {
	for _, u := range members {
		s.remove(u)
		s.members = append(s.members, arn(u))
	}
	for _, u := range deposits {
		s.remove(u)
		s.deposits = append(s.deposits, depositUser{user: arn(u), prefixes: prefixes})
	}
}

// remove takes a user out, and says whether there was one.
func (s *sharers) remove(user string) bool {
	before := len(s.members) + len(s.deposits)
	s.members = slices.DeleteFunc(s.members, func(u string) bool { return u == arn(user) })
	s.deposits = slices.DeleteFunc(s.deposits, func(d depositUser) bool { return d.user == arn(user) })
	return len(s.members)+len(s.deposits) < before
}

func (s *sharers) depositors() (users []string) {
	for _, d := range s.deposits {
		users = append(users, d.user)
	}
	return users
}

func (s *sharers) all() []string { return slices.Concat(s.members, s.depositors()) }

// allow makes a statement, unless it would be for nobody or nothing, which the storage refuses.
func allow(list []statement, sid string, users []string, actions, resources texts) []statement {
	if len(users) == 0 || len(resources) == 0 {
		return list
	}
	return append(list, statement{Sid: ownSid + sid, Effect: "Allow", Principal: awsPrincipal{AWS: users}, Action: actions, Resource: resources})
}
