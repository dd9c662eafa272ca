package sock

import (
	"syscall"
	"unsafe"
)

// Tell tells the scheduler of this goroutine, as a system call does. Who has read
// quietly calls it before it computes for long, so that others get their turn.
func Tell() { _, _, _ = syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0) }

// quietRead reads without the scheduler's knowing. fd does not block.
func quietRead(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// quietWrite writes without the scheduler's knowing. fd does not block.
func quietWrite(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
