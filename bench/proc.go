package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"cofre/internal/pause"
)

// tick is the unit of times in /proc/PID/stat, USER_HZ: a hundredth of a second on every Linux that Go runs on. The kernel counts finer
// and rounds only what it shows.
const tick = 100

// procStat is what is read of /proc/PID/stat (proc_pid_stat(5)).
type procStat struct {
	parent          int
	user, system    uint64 // ticks
	waited, waitSys uint64 // of children that have ended
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The command stands in parentheses and may hold spaces, so what follows is counted from behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const parent, user = 1, 11
	if len(fields) < user+4 {
		return procStat{}, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var s procStat
	var errs [5]error
	s.parent, errs[0] = strconv.Atoi(fields[parent])
	for i, to := range []*uint64{&s.user, &s.system, &s.waited, &s.waitSys} {
		*to, errs[i+1] = strconv.ParseUint(fields[user+i], 10, 64)
	}
	for _, err := range errs {
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// processCPU is the user and system time of one process, in seconds.
func processCPU(pid int) (float64, error) {
	s, err := readStat(pid)
	return float64(s.user+s.system) / tick, err
}

// treeCPU is that of a process, of its children, and of those that it had: PostgreSQL has a process for each connection, nginx has
// workers.
func treeCPU(pid int) (float64, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	ticks := s.user + s.system + s.waited + s.waitSys
	children, err := childrenOf(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		if s, err := readStat(child); err == nil { // one that has just ended is in its parent's count next time
			ticks += s.user + s.system
		}
	}
	return float64(ticks) / tick, nil
}

func childrenOf(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil && s.parent == pid {
			children = append(children, child)
		}
	}
	return children, nil
}

// resetPeak has the kernel count the peak of a process's memory, and of its children's, from now on.
func resetPeak(pid int) error {
	children, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, p := range append(children, pid) {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}

// peak is the highest resident memory of a process and its children since then, in bytes. What they share counts several times.
func peak(pid int) (int64, error) {
	children, err := childrenOf(pid)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, p := range append(children, pid) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		rest, _, found := strings.Cut(rest, "kB")
		kib, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		if !found || err != nil {
			return 0, fmt.Errorf("/proc/%d/status has no VmHWM", p)
		}
		total += kib << 10
	}
	return total, nil
}

// room is how much memory the machine has to have to spare before a storage is written to that holds it all.
const room = 6 << 30

// awaitRoom waits until there is, as a storage frees what was deleted. Else the kernel would end somebody, not only here.
func awaitRoom(ctx context.Context) error {
	for range 60 {
		text, err := os.ReadFile("/proc/meminfo")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(text), "MemAvailable:")
		rest, _, _ = strings.Cut(rest, "kB")
		kib, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/meminfo: %w", err)
		}
		if kib<<10 >= room {
			return nil
		}
		if err := pause.For(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	return errors.New("less than 6 GiB of memory are available")
}
