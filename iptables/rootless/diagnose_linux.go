package rootless

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The steps that diagnose gives advice on; the others explain themselves.
const (
	stepClone    = "create user, network, pid and mount namespaces"
	stepNested   = "create the command's user namespace"
	stepProc     = "mount a fresh /proc"
	stepRedirect = "redirect outbound connections with nftables"
)

// diagnose wraps err, which ended step, with what the user can do about it.
// read returns the trimmed content of a file, or "" when it is not there.
//
// Two refusals look alike to a user and are told apart here: namespaces that
// cannot be made at all (a sysctl, a seccomp filter), and namespaces that can
// be made but have no power inside (Ubuntu's AppArmor).
func diagnose(step string, err error, read func(path string) string) *SetupError {
	e := &SetupError{Step: step, Err: err}
	refused := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
	switch {
	case refused && read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		e.Hint = "AppArmor lets ordinary users create user namespaces, but gives them no power inside (kernel.apparmor_restrict_unprivileged_userns=1, the default of Ubuntu since 23.10). " +
			"Either give sluice an AppArmor profile with `userns,`, or run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	case step == stepClone || step == stepNested:
		e.Hint = whyNoNamespace(err, refused, read)
	case step == stepProc && refused:
		e.Hint = "something hides parts of /proc, as containers do; in Docker, add: --security-opt systempaths=unconfined"
	case refused:
		e.Hint = "the namespace was created but has no power inside: a security module (AppArmor, SELinux) or a seccomp filter forbids it; see the kernel's log (dmesg)"
	case step == stepRedirect:
		e.Hint = "the kernel needs nf_tables with nft_chain_nat and nft_redir; as root, run: modprobe -a nf_tables nft_chain_nat nft_redir"
	}
	return e
}

func whyNoNamespace(err error, refused bool, read func(string) string) string {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		for _, kind := range []string{"user", "net", "pid", "mnt"} {
			if read("/proc/sys/user/max_"+kind+"_namespaces") == "0" {
				name := "user.max_" + kind + "_namespaces"
				return kind + " namespaces are switched off (" + name + "=0); as root, run: sysctl -w " + name + "=15000"
			}
		}
		return "a limit on namespaces is used up, or they are nested too deeply; as root, raise user.max_user_namespaces and its kin"
	}
	if refused && read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
		return "ordinary users may not create user namespaces (kernel.unprivileged_userns_clone=0); as root, run: sysctl -w kernel.unprivileged_userns_clone=1"
	}
	if refused && seccompFilters(read("/proc/self/status")) {
		return "a seccomp filter forbids namespaces, as containers have it; in Docker, add: --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
	}
	if refused {
		return "a security module or a chroot forbids user namespaces here"
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return "the kernel was built without user, network or pid namespaces"
	}
	return ""
}

// seccompFilters reads /proc/self/status, where mode 2 is a filter.
func seccompFilters(status string) bool {
	for line := range strings.Lines(status) {
		if mode, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(mode) == "2"
		}
	}
	return false
}

func readTrimmed(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
