package rootless

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// idMaps is how a user namespace sees the ids of the one around it.
type idMaps struct {
	UID, GID []syscall.SysProcIDMap
	// Setgroups says whether the inside may change its supplementary groups.
	Setgroups bool
}

// mapsFor returns the maps of the namespace and of the command's nested one.
//
// A plain caller owns one uid and one gid: 0 inside, and back to itself for
// the command. A privileged caller keeps all its ids, so that a command run by
// root still owns, reads and chowns what root may.
func mapsFor(uid, gid int) (namespace, back idMaps, err error) {
	if uid == 0 && mayMapAnyID() {
		all, err := identityMaps()
		return all, all, err
	}
	single := func(inside, outside int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
	}
	namespace = idMaps{UID: single(0, uid), GID: single(0, gid)}
	back = idMaps{UID: single(uid, 0), GID: single(gid, 0)}
	return namespace, back, nil
}

// mayMapAnyID says whether the process holds CAP_SETUID and CAP_SETGID.
func mayMapAnyID() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return data[0].Effective&need == need
}

func identityMaps() (idMaps, error) {
	uid, err := identityMap("/proc/self/uid_map")
	if err != nil {
		return idMaps{}, err
	}
	gid, err := identityMap("/proc/self/gid_map")
	if err != nil {
		return idMaps{}, err
	}
	// Where an outer namespace has given setgroups up, no inner one gets it back.
	return idMaps{UID: uid, GID: gid, Setgroups: readTrimmed("/proc/self/setgroups") != "deny"}, nil
}

// identityMap maps every id that is valid here to itself. File path holds
// lines of "inside outside count", user_namespaces(7).
func identityMap(path string) ([]syscall.SysProcIDMap, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var maps []syscall.SysProcIDMap
	for line := range strings.Lines(string(b)) {
		var inside, outside, size int64
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		id := int(min(inside, math.MaxInt))
		maps = append(maps, syscall.SysProcIDMap{ContainerID: id, HostID: id, Size: int(min(size, math.MaxInt))})
	}
	return maps, nil
}

// hostHasIPv6 says whether the host has an IPv6 default route. Without one the
// command gets none either, or getaddrinfo would prefer addresses that no
// connection can reach.
func hostHasIPv6() bool {
	f, err := os.Open("/proc/net/ipv6_route")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if isIPv6Default(lines.Text()) {
			return true
		}
	}
	return false
}

// isIPv6Default reads a line of /proc/net/ipv6_route: destination, its length,
// source, its length, next hop, metric, references, uses, flags, device.
func isIPv6Default(line string) bool {
	field := strings.Fields(line)
	if len(field) != 10 || field[1] != "00" || strings.Trim(field[0], "0") != "" {
		return false
	}
	flags, err := strconv.ParseUint(field[8], 16, 32)
	return err == nil && flags&unix.RTF_UP != 0 && flags&unix.RTF_REJECT == 0
}

// childFiles lays out the file descriptors of a child: stdio, the descriptors
// that the caller itself inherited (a shell's `<(...)` or `3>log`) at their own
// numbers, and extra in the first free places, which it returns.
func childFiles(stdio [3]uintptr, extra ...int) (files []uintptr, places []int) {
	files = append(files, stdio[:]...)
	for len(places) < len(extra) {
		n := len(files)
		if inherited(n) {
			files = append(files, uintptr(n))
			continue
		}
		places = append(places, n)
		files = append(files, uintptr(extra[len(places)-1]))
	}
	return files, places
}

// inherited says whether fd is open and survives execve.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
