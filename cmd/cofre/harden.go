package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// harden sets what the process asks of the operating system. It is done before any key is read.
func harden(log *zap.Logger) {
	if err := refuseCoreDumps(); err != nil {
		log.Warn("core dumps stay possible: they would hold keys", zap.Error(err))
	}
	if err := refuseInspection(); err != nil {
		log.Warn("other processes of this account can read this one's memory and environment", zap.Error(err))
	}
	limitMemory(log)
}

// refuseCoreDumps keeps plaintext and keys from being written to disk should the process crash.
func refuseCoreDumps() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("set RLIMIT_CORE: %w", err)
	}
	return nil
}

// limitMemory tells Go's collector of the container's memory limit, nine tenths of it, unless GOMEMLIMIT says otherwise:
// the collector then works harder before the kernel would end the process.
func limitMemory(log *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} { // cgroup v2, v1
		if limit := cgroupLimit(path); limit > 0 {
			debug.SetMemoryLimit(limit / 10 * 9)
			log.Info("memory limit taken from the container", zap.Int64("bytes", limit/10*9))
			return
		}
	}
}

// cgroupLimit reads a limit in bytes; 0 where there is none. Version 1 writes "none" as a number near 2^63.
func cgroupLimit(path string) int64 {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || limit > math.MaxInt64/2 {
		return 0
	}
	return limit
}
