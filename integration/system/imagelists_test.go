// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

const imageLists = "usr/lib/digestd/lists"

// builtImage is what a builder of images makes: a file system that has no extended
// attributes, in which no D-Bus, no daemon and no plugin of rpm was.
type builtImage struct {
	*pkgtest.Root
	keys string // of the builder, outside
}

func buildImage(m *machine) *builtImage {
	m.Helper()
	root := m.In("image")
	m.OK(os.Mkdir(root, 0o755))
	m.OK(unix.Mount("digestd-test", root, "ramfs", 0, ""))
	m.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	if err := unix.Setxattr(root, "security.digest_list", []byte("x"), 0); !errors.Is(err, unix.ENOTSUP) {
		m.Fatalf("the file system has extended attributes: %v", err)
	}
	b := &builtImage{keys: m.In("builder")}
	var err error
	b.Root, err = pkgtest.NewRoot(root)
	m.OK(err)
	m.OK(b.Run("--import", m.In("vendor.asc")))
	m.OK(b.Run("-U", "--ignoresize", m.build("hello-1-1.noarch"), m.build("other-1-1.noarch"), m.build("third-1-1.noarch"), m.build("stray-1-1.noarch", "key=")))
	return b
}

func (b *builtImage) at(path string) string { return filepath.Join(b.Dir, path) }

// make makes the lists of the image.
func (b *builtImage) make(m *machine) {
	m.Helper()
	out, err := exec.Command(filepath.Join(programs.Dir, "digestd"), "-reconcile", "-root", b.Dir, "-image", b.keys).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "4 installed, 3 lists made") || !strings.Contains(string(out), "/etc/digestd/keys.d") {
		m.Fatalf("%v\n%s", err, out)
	}
}

// TestImageLists: lists made when an image was built are those of the machine that starts
// from it, with the builder's signature, if it trusts the builder; and none is taken that
// says anything else than what the package's header does.
func TestImageLists(t *testing.T) {
	m := newMachine(t)
	m.importKey("vendor")
	b := buildImage(m)
	b.make(m)
	want := []string{"tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch", "tlv-third-0:1-1.noarch"}
	if got := m.NamesIn(b.at(imageLists)); !slices.Equal(got, want) {
		t.Fatalf("lists of the image are %q, want %q", got, want)
	}
	// Nothing else of digestd's is in it, and least of all a key.
	m.OK(filepath.WalkDir(b.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "digest") && !strings.HasPrefix(path, filepath.Dir(b.at(imageLists))) {
			t.Errorf("the image has %s", path)
		}
		if err == nil && e.Type().IsRegular() {
			if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("PRIVATE KEY")) {
				t.Errorf("%s has a key: %v", path, err)
			}
		}
		return err
	}))
	if got := m.NamesIn(filepath.Dir(b.at(imageLists))); !slices.Equal(got, []string{"lists"}) {
		t.Errorf("beside the lists are %q", got)
	}
	first := m.Content(b.at(imageLists + "/" + want[0]))
	b.make(m) // as another layer does; the key is the same
	builder, err := identity.ReadCertificate(filepath.Join(b.keys, identity.CertFile))
	m.OK(err)

	// The machine is a copy. One list of it was altered, one is signed by somebody else.
	m.OK(os.RemoveAll(m.Root.Dir))
	m.OK(exec.Command("cp", "-r", b.Dir, m.Root.Dir).Run())
	own := func(name string) string { return m.Path(imageLists + "/" + name) }
	altered := bytes.Replace(m.Content(own(want[1])), []byte("/usr/bin/other"), []byte("/usr/bin/0ther"), 1)
	m.OK(os.WriteFile(own(want[1]), altered, 0o644))
	stranger := &builtImage{Root: b.Root, keys: m.In("stranger")}
	stranger.make(m)
	m.OK(os.WriteFile(own(want[2]), m.Content(b.at(imageLists+"/"+want[2])), 0o644))
	m.OK(os.WriteFile(own("tlv-absent-0:1-1.noarch"), first, 0o644))
	m.OK(os.Symlink("/dev/zero", own("tlv-endless-0:1-1.noarch")))

	m.Config = []string{`image-lists = "` + m.Path(imageLists) + `"`}
	cert := filepath.Join(m.Keys(), "builder.der")
	m.OK(os.WriteFile(cert, builder.Raw, 0o644))
	m.Start()
	m.WantLists(want...)
	if !bytes.Equal(m.Content(m.list(want[0])), m.Content(own(want[0]))) {
		t.Error("the list of the image is not the machine's")
	}
	m.Body(want[0], builder)
	for _, other := range want[1:] {
		if bytes.Equal(m.Content(m.list(other)), m.Content(own(other))) {
			t.Errorf("%s is the image's, which nobody vouches for", other)
		}
		m.Body(other) // signed by this machine
	}
	m.Wholesome(builder)
	if log := m.Must("log"); strings.Contains(log, "tampered") {
		t.Errorf("the log has\n%s", log)
	}
	// It lasts, over comparisons and starts, until the owner takes his trust away.
	m.Must("sync")
	m.Kill()
	m.Start()
	m.Body(want[0], builder)
	m.OK(os.Remove(cert))
	m.Signal(syscall.SIGHUP)
	m.Until("the machine signs the list", func() bool {
		return !bytes.Equal(m.Content(m.list(want[0])), m.Content(own(want[0])))
	})
	m.Wholesome()
	// A package that goes takes its list with it; what is in the image brings none back.
	m.RPM("-e", "hello")
	m.WantLists(want[1:]...)
	m.Must("sync")
	m.WantLists(want[1:]...)
}

// Content is that of a file.
func (m *machine) Content(path string) []byte {
	m.Helper()
	data, err := os.ReadFile(path)
	m.OK(err)
	return data
}
