package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// refuseInspection keeps other processes of the same account from attaching to this one and from reading its memory and its
// environment under /proc, where secrets may have been given. It also has the kernel write no core dump, whatever the limit.
func refuseInspection() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("set PR_SET_DUMPABLE: %w", err)
	}
	return nil
}
