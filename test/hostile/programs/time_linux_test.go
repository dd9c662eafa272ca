package programs

import (
	"syscall"
	"time"
)

// threadTime is the CPU time of the thread: how busy the machine is makes little of it.
func threadTime() time.Duration {
	const rusageThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
