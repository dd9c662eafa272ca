package traffic

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// discard drops up to n bytes of what a socket received, without copying them:
// MSG_TRUNC, of TCP sockets (tcp(7)). What comes in bulk would else cost the
// load as much as the proxy.
func discard(fd int, buf []byte, n int) (int, error) {
	got, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(n), unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}

// Pin keeps the calling goroutine, on a thread of its own from now on, on one
// processor. What the thread becomes by exec stays there too.
func Pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to processor %d: %w", cpu, err)
	}
	return nil
}

// CPU is the time that processes have had, user and system, with all their
// threads that are or were. It is the scheduler's own count in nanoseconds; the
// ticks in /proc/PID/stat are sums of the same, cut to 10 ms.
func CPU(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		var t unix.Timespec
		// The clock of a process as clock_getcpuclockid(3) makes it.
		if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// Busy is the time that a processor has not been idle, in ticks of 10 ms.
func Busy(cpu int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != "cpu"+strconv.Itoa(cpu) {
			continue
		}
		var ticks int64
		// user, nice, system, then idle and waiting, then interrupts and what
		// the hypervisor took (proc(5)).
		for _, i := range [...]int{1, 2, 3, 6, 7, 8} {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read /proc/stat: %w", err)
			}
			ticks += n
		}
		return time.Duration(ticks) * 10 * time.Millisecond, nil
	}
	return 0, fmt.Errorf("processor %d is not in /proc/stat", cpu)
}

// Memory is the resident memory of processes, now and at most, in bytes.
func Memory(pids []int) (rss, peak int64, err error) {
	for _, pid := range pids {
		file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ":")
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			switch name {
			case "VmRSS":
				rss += kib << 10
			case "VmHWM":
				peak += kib << 10
			}
		}
	}
	return rss, peak, nil
}
