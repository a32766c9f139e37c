// Package access decides what a client may do. Grants are refused by default: a credential may do only what one of its
// grants says, whatever the backend's own ACLs and policies allow; those may only narrow further.
//
// A [Grant] names buckets, key prefixes and actions. An [Identity] is who is asking and the grants that it has;
// [Identity.Allows] and [Identity.AllowsList] are the decision. [Credentials] finds the identity and the secret that
// belong to an access key id: first among those of the configuration, then in the store, where secrets lie sealed.
//
// Names of buckets and keys are compared byte by byte and never normalised: "a//b", "a/./b" and "a/b" are three keys, and
// a letter with an accent is not the same as the letter followed by a combining accent.
package access

import (
	"fmt"
	"strings"
)

// BackendUser names the identity under which a call acts on the backend.
type BackendUser string

const (
	// SiteUser is the site's own backend identity. Heal, rebuild, sweep and the system bucket always use it.
	SiteUser BackendUser = ""
	// AnonymousUser sends the request unsigned, so that the backend can still refuse it.
	AnonymousUser BackendUser = "\x00anonymous"
)

// Action is a class of S3 operations. The zero value is no action, and no grant can give it.
type Action uint8

const (
	// Read gets objects, their metadata, attributes and tags.
	Read Action = iota + 1
	// Write puts, copies to and tags objects, and works on multipart uploads.
	Write
	// List lists objects, versions and multipart uploads.
	List
	// Delete removes objects and versions.
	Delete
	// Admin makes, configures and removes buckets, and changes ACLs, policies, retention and legal holds.
	Admin
)

// actionNames are the words used in configuration and JSON.
var actionNames = [...]string{Read: "read", Write: "write", List: "list", Delete: "delete", Admin: "admin"}

// AllActions gives every action, in the order of the constants.
func AllActions() []Action { return []Action{Read, Write, List, Delete, Admin} }

// ParseAction gives the action of that name, which is in lower case.
func ParseAction(name string) (Action, error) {
	for a := Read; a <= Admin; a++ {
		if actionNames[a] == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown action %q: use %s", name, strings.Join(actionNames[Read:], ", "))
}

// String gives the action's name, or "Action(n)" for a value that is none.
func (a Action) String() string {
	if a < Read || a > Admin {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actionNames[a]
}
