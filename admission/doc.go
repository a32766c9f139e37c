// Package admission decides what one process takes on, and when: a Gate before the work that requests are, Rates for what one
// client may ask for in a second, and Connections before what is not a request yet. It knows nothing of S3: whoever asks says
// who it is for and what it will take, and puts a refusal into S3's words (503 SlowDown).
//
// Everything here is bounded, waiting included: who cannot be served soon is told so soon, with a time to come back after that is
// not the same for all.
package admission

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"cofre/internal/source"
)

// Party is on whose account something is done: parties share fairly what they compete for. It comes from what was verified, or
// else from the address; never from what a client merely says of itself.
type Party string

// Credential is the party of a verified access key.
func Credential(accessKeyID string) Party { return Party("key " + accessKeyID) }

// Source is the party of requests without credentials, by the address that they come from.
func Source(a netip.Addr) Party { return Party("address " + source.Of(a).String()) }

// Reason is why something was refused, in a word that is good for a metric.
type Reason string

// The reasons.
const (
	ReasonMemory   Reason = "memory"   // the memory that it needs did not come free in time
	ReasonRequests Reason = "requests" // too many requests are being served
	ReasonQueue    Reason = "queue"    // too many wait already, and its party has the most of them
	ReasonRate     Reason = "rate"     // its party asks for more in a second than it may
)

// Refused is the error of what is not taken on now and may be tried again.
type Refused struct {
	Reason Reason
	// After is when to try again: above zero, and not the same for everybody who was refused at the same moment.
	After time.Duration
}

func (r *Refused) Error() string {
	return fmt.Sprintf("not admitted (%s), try again after %v", r.Reason, r.After)
}

// refuse makes a refusal that says to come back after about that long: it adds up to as much again, and a second.
func refuse(reason Reason, after time.Duration) *Refused {
	return &Refused{Reason: reason, After: Spread(after)}
}

// Spread gives a time between d and twice d and a second, at random: who is sent away at once must not come back at once.
func Spread(d time.Duration) time.Duration {
	var b [2]byte
	rand.Read(b[:])
	part := float64(uint(b[0])<<8|uint(b[1])) / (1 << 16)
	return d + time.Duration(part*float64(d+time.Second))
}
