package rootless

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDiagnoseSaysWhatToDo(t *testing.T) {
	const (
		apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
		clone    = "/proc/sys/kernel/unprivileged_userns_clone"
		users    = "/proc/sys/user/max_user_namespaces"
		nets     = "/proc/sys/user/max_net_namespaces"
		status   = "/proc/self/status"
	)
	for _, tt := range []struct {
		name  string
		step  string
		err   error
		files map[string]string
		want  string // part of the hint; "" for no hint
	}{
		{"user namespaces switched off", stepClone, unix.ENOSPC, map[string]string{users: "0"}, "sysctl -w user.max_user_namespaces=15000"},
		{"network namespaces switched off", stepClone, unix.ENOSPC, map[string]string{users: "99", nets: "0"}, "sysctl -w user.max_net_namespaces=15000"},
		{"limit used up", stepClone, unix.ENOSPC, map[string]string{users: "99"}, "raise user.max_user_namespaces"},
		{"the command's own namespace is one too many", stepNested, unix.ENOSPC, map[string]string{users: "1"}, "raise user.max_user_namespaces"},
		{"Debian's switch", stepClone, unix.EPERM, map[string]string{clone: "0"}, "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"seccomp", stepClone, unix.EPERM, map[string]string{status: "Name:\tx\nSeccomp:\t2\n"}, "seccomp=unconfined"},
		{"no filter, no switch", stepClone, unix.EPERM, map[string]string{status: "Seccomp:\t0\n"}, "security module or a chroot"},
		{"old kernel", stepClone, unix.EINVAL, nil, "built without"},
		{"AppArmor forbids the map", stepClone, unix.EPERM, map[string]string{apparmor: "1"}, "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"AppArmor takes the power", "keep mounts private", unix.EACCES, map[string]string{apparmor: "1"}, "no power inside"},
		{"powerless without AppArmor", "bring lo up", fmt.Errorf("add address: %w", unix.EPERM), map[string]string{apparmor: "0"}, "no power inside"},
		{"masked proc", stepProc, unix.EPERM, nil, "systempaths=unconfined"},
		{"no nftables", stepRedirect, unix.EPROTONOSUPPORT, nil, "modprobe"},
		{"anything else", "bring lo up", unix.ENOMEM, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := diagnose(tt.step, tt.err, func(path string) string { return tt.files[path] })
			if !strings.Contains(got.Hint, tt.want) || tt.want == "" && got.Hint != "" {
				t.Errorf("got hint %q, want %q in it", got.Hint, tt.want)
			}
			if !errors.Is(got, tt.err) || !strings.Contains(got.Error(), tt.step) {
				t.Errorf("got %q, want step and cause", got)
			}
		})
	}
}

// surrounded runs the driver after script, in a user namespace whose uid 0 is
// the tests' user, so that nothing of the host changes.
func surrounded(t *testing.T, flags uintptr, script string) result {
	t.Helper()
	const limit = "/proc/sys/user/max_user_namespaces"
	before := readTrimmed(limit)
	defer func() {
		if after := readTrimmed(limit); after != before {
			t.Errorf("the host's %s went from %s to %s", limit, before, after)
		}
	}()
	cmd := caller{}.command(t, drive{Argv: []string{"true"}})
	cmd.Args = append([]string{"sh", "-c", script + ` && exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	uid, gid := syscall.Geteuid(), syscall.Getegid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: gid, Size: 1}},
	}
	return finish(t, cmd)
}

func wantRefused(t *testing.T, r result, want ...string) {
	t.Helper()
	if r.code != ExitFailed {
		t.Errorf("exit code %d, want %d", r.code, ExitFailed)
	}
	for _, s := range want {
		if !strings.Contains(r.stderr, s) {
			t.Errorf("got %q, want %q in it", r.stderr, s)
		}
	}
}

func TestUserNamespacesSwitchedOff(t *testing.T) {
	r := surrounded(t, 0, "echo 0 >/proc/sys/user/max_user_namespaces")
	wantRefused(t, r, stepClone, "no space left on device", "sysctl -w user.max_user_namespaces=15000")
}

func TestNoRoomForTheCommandsNamespace(t *testing.T) {
	// One is for the namespace, none for the nested one of the command.
	r := surrounded(t, 0, "echo 1 >/proc/sys/user/max_user_namespaces")
	wantRefused(t, r, stepNested, "raise user.max_user_namespaces")
}

func TestMaskedProc(t *testing.T) {
	r := surrounded(t, unix.CLONE_NEWNS, "mount -t tmpfs tmpfs /proc/sys/fs")
	wantRefused(t, r, stepProc, "operation not permitted", "systempaths=unconfined")
}

func TestNoResolvConf(t *testing.T) {
	if _, err := exec.LookPath("mount"); err != nil {
		t.Skip("needs mount")
	}
	if r := surrounded(t, unix.CLONE_NEWNS, "mount -t tmpfs tmpfs /etc"); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
