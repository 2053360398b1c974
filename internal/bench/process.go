//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the user and system time that a process has used, ended threads
// included, in nanoseconds of the scheduler's own account. /proc/PID/stat
// tells the same sum in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel's
	// include/linux/posix-timers_types.h, as clock_getcpuclockid(3) has it.
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// familyTime is the processor time of a process and of its children, those that
// have ended included.
func familyTime(pid int) (time.Duration, error) {
	sum, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	sum += endedTime(own)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		child, parent, ok := familyOf(text)
		if !ok || parent != pid {
			continue
		}
		if t, err := cpuTime(child); err == nil {
			sum += t
		}
	}
	return sum, nil
}

// endedTime is what the children of a process used that have ended, in steps of
// 10 ms (USER_HZ is 100 on every Linux): cutime and cstime of its stat.
func endedTime(stat []byte) (sum time.Duration) {
	words := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const cutime, cstime = 13, 14 // counted from the state, which is the third word of all
	if len(words) <= cstime {
		return 0
	}
	for _, word := range words[cutime : cstime+1] {
		if ticks, err := strconv.Atoi(string(word)); err == nil {
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

// familyOf reads the ids of a process and of its parent from its stat, where
// the parent is the second word behind the name in brackets.
func familyOf(stat []byte) (pid, parent int, ok bool) {
	number, _, _ := bytes.Cut(stat, []byte(" "))
	i := bytes.LastIndexByte(stat, ')')
	words := bytes.Fields(stat[i+1:])
	if i < 0 || len(words) < 2 {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(string(number))
	parent, parentErr := strconv.Atoi(string(words[1]))
	return pid, parent, err == nil && parentErr == nil
}

// memory is what a process holds of the machine's, in bytes. Pss counts a page
// that n processes share as 1/n.
type memory struct{ rss, pss int }

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	var m memory
	if m.rss, err = kilobytes(text, "Rss:"); err != nil {
		return memory{}, err
	}
	m.pss, err = kilobytes(text, "Pss:")
	return m, err
}

// kilobytes reads the value of one line, given in kB, as bytes.
func kilobytes(text []byte, name string) (int, error) {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == name {
			n, err := strconv.Atoi(string(fields[1]))
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup has no line %s", name)
}

// fileLimit is the number of files that this process may open.
func fileLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit on open files: %w", err)
	}
	return int(limit.Cur), nil
}
