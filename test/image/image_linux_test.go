// Package image builds the container image and runs what is in it.
package image

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// store is a buildah store of one test.
type store struct{ dir string }

func (s store) options() []string {
	return []string{"--root", filepath.Join(s.dir, "root"), "--runroot", filepath.Join(s.dir, "run")}
}

// buildah runs a command of buildah and returns what it printed.
func (s store) buildah(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, exec.Command("buildah", append(s.options(), args...)...))
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Env = append(os.Environ(), "STORAGE_DRIVER=vfs")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, problems.String())
	}
	return strings.TrimSpace(string(out))
}

// mounted builds the image and returns the folder that it is mounted at.
func mounted(t *testing.T) (store, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: to mount the image")
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("needs buildah: test/run tools installs it")
	}
	s := store{dir: t.TempDir()}
	output(t, exec.Command("./build", append([]string{"sluice-test"}, s.options()...)...))
	container := s.buildah(t, "from", "--pull-never", "sluice-test")
	t.Cleanup(func() { s.buildah(t, "rm", container) })
	return s, s.buildah(t, "mount", container)
}

func TestTheImageIsOneStaticBinary(t *testing.T) {
	s, root := mounted(t)

	sluice, err := elf.Open(filepath.Join(root, "sluice"))
	if err != nil {
		t.Fatal(err)
	}
	defer sluice.Close()
	for _, part := range sluice.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic linker, and the image has none")
		}
	}

	var files []string
	if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/sluice"}; !slices.Equal(files, want) {
		t.Errorf("got files %v, want %v", files, want)
	}

	config := s.buildah(t, "inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.WorkingDir}}", "sluice-test")
	if want := "1337:1337 [/sluice] [run] /etc/sluice"; config != want {
		t.Errorf("got config %q, want %q", config, want)
	}

	// The very file system of the image, as the image's user: nothing of the
	// host's is there to help.
	if got := output(t, inImage(root, "version")); !strings.HasPrefix(got, "sluice ") {
		t.Errorf("sluice version: got %q", got)
	}
}

// sluiceID is the image's uid and gid.
const sluiceID = 1337

func inImage(root string, args ...string) *exec.Cmd {
	cmd := exec.Command("/sluice", args...)
	cmd.Dir = "/etc/sluice"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: sluiceID, Gid: sluiceID}}
	return cmd
}
