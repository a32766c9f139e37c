package backend_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain wants every request to have let go of its goroutines, connections and timers.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
