//go:build !linux

package sock

import "syscall"

func quietRead(fd uintptr, b []byte) (int, error)  { return syscall.Read(int(fd), b) }
func quietWrite(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }

// Tell does nothing where no read is quiet.
func Tell() {}
