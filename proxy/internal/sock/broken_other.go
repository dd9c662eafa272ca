//go:build !linux

package sock

import "net"

// Broken reports whether c, whose own side is open, has ended by a reset. It
// cannot be told here.
func Broken(*net.TCPConn) bool { return false }

// Unsent cannot be told here.
func Unsent(*net.TCPConn) int { return 0 }
