package rootless

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// holdTerminal remembers whether this process is in the terminal's foreground.
// The returned function gives the terminal back to its process group when the
// command, an interactive shell perhaps, made another group the foreground and
// died with it. A foreground group that still lives is left alone: the user
// may have sent this job to the background.
func holdTerminal() (restore func()) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return func() {}
	}
	own := unix.Getpgrp()
	if foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || foreground != own {
		unix.Close(fd)
		return func() {}
	}
	return func() {
		defer unix.Close(fd)
		foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil || foreground == own || foreground > 0 && unix.Kill(-foreground, 0) != unix.ESRCH {
			return
		}
		// Else the kernel stops a background process that does this.
		signal.Ignore(unix.SIGTTOU)
		defer signal.Reset(unix.SIGTTOU)
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, own)
	}
}
