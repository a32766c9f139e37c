package keys

// The times of a deposit KEK, for tests that let them pass.
const (
	DepositLifetime = depositLifetime
	DepositUse      = depositUse
	DepositGrace    = depositGrace
	RetryRotation   = retryRotation
)

// Zero ends a KEK at once.
func Zero(k KEK) { k.zero() }
