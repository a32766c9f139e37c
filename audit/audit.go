// Package audit keeps the trail that an auditor follows: who was trusted with which keys and when, what was done to them, and what
// the storage or a stranger offered that was refused. Each act and refusal is one event in the metadata store; `cofre audit` shows
// them. Requests of clients are not here: they have their line in the log.
package audit

// Action says what an event is about. The words are stable: people filter by them.
type Action string

const (
	// IdentityExchanged: the store became another identity's, with that identity's trust list.
	IdentityExchanged Action = "identity.exchanged"
	// TrustChanged: the site's trust list got a new number.
	TrustChanged Action = "trust.changed"
	// KEKMade and the others of this kind: what this site did with a KEK, which is the subject.
	KEKMade     Action = "kek.made"
	KEKImported Action = "kek.imported" // another site's, or this one's own after a lost store
	KEKRotated  Action = "kek.rotated"  // taken out of use for new objects
	KEKClosed   Action = "kek.closed"
	KEKEndorsed Action = "kek.endorsed"
	// KEKRefused: the system bucket holds a record or a grant that is not to be believed.
	KEKRefused Action = "kek.refused"
	// GrantMade and GrantRemoved: the subject is the KEK, the detail names the site.
	GrantMade    Action = "grant.made"
	GrantRemoved Action = "grant.removed"
	// ObjectRefused: the storage returned what no holder of the bucket's key wrote under that name. The subject is the kind of finding.
	ObjectRefused Action = "object.refused"
	// IdentityOpened: a process holds the site's keys in memory from now on. The subject says what guarded them.
	IdentityOpened Action = "identity.opened"
	// ClientSlowed: so many requests failed to authenticate that their source has to wait. The subject is its address or
	// network; the detail names the access key, where there is such a one.
	ClientSlowed Action = "client.slowed"
	// CredentialMade and CredentialRemoved: the subject is the access key id.
	CredentialMade    Action = "credential.made"
	CredentialRemoved Action = "credential.removed"
	// BackupMade: the subject is the file, the detail its place, rows and digest.
	BackupMade Action = "backup.made"
	// StoreRestored: all rows before this event came from a backup, which is the subject.
	StoreRestored Action = "store.restored"
	// Dropped: so many events, as the detail says, came faster than they could be kept.
	Dropped Action = "events.dropped"
)

// Event is one act or refusal.
type Event struct {
	Action  Action
	Bucket  string // empty where it is about no bucket
	Subject string
	Detail  string
}
