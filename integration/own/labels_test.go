// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// immutable makes a file resist all change until the test ends or mutable is called.
func (m *machine) immutable(path string) (mutable func()) {
	m.Helper()
	full := m.Path(path)
	m.chattr("+i", full)
	mutable = func() { m.chattr("-i", full) }
	m.Cleanup(func() { exec.Command("chattr", "-i", full).Run() })
	return mutable
}

func (m *machine) chattr(flag, path string) {
	m.Helper()
	if out, err := exec.Command("chattr", flag, path).CombinedOutput(); err != nil {
		m.Fatalf("chattr %s %s: %v\n%s", flag, path, err, out)
	}
}

// changed returns when a file's attributes were changed last.
func (m *machine) changed(path string) time.Time {
	m.Helper()
	var st unix.Stat_t
	m.OK(unix.Stat(m.Path(path), &st))
	return time.Unix(st.Ctim.Unix())
}

// renews runs act and wants the labels of these files to be written anew when it has
// returned, not later.
func (m *machine) renews(what string, act func(), paths ...string) {
	m.Helper()
	before := map[string]time.Time{}
	for _, path := range paths {
		before[path] = m.changed(path)
	}
	time.Sleep(20 * time.Millisecond) // longer than the clock of a file system ticks
	act()
	for _, path := range paths {
		if !m.changed(path).After(before[path]) {
			m.Errorf("%s: the label of %s was not written anew before the answer", what, path)
		}
	}
}

func TestOneFileResistsItsNewList(t *testing.T) {
	m := start(t)
	key := m.vendor()
	files := map[string]string{"/opt/a": "a", "/opt/b": "b", "/opt/c": "c"}
	m.RPM("-U", m.pkg(key, "p", "1", files))
	mutable := m.immutable("/opt/a")
	m.RPM("-U", "--justdb", m.pkg(key, "p", "2", files))
	m.WantLists("tlv-p-0:2-1.noarch")
	m.bound(map[string]string{"/opt/b": "tlv-p-0:2-1.noarch", "/opt/c": "tlv-p-0:2-1.noarch"})
	m.HasProblem("labels", "1 file,", "/opt/a", "operation not permitted")

	// The remaining work outlives the process.
	m.Kill()
	m.Start()
	m.HasProblem("labels", "1 file,", "/opt/a")
	mutable()
	m.bound(map[string]string{"/opt/a": "tlv-p-0:2-1.noarch"})
	m.Solved("labels")
}

func TestOneFileResistsAnOrder(t *testing.T) {
	m := start(t)
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "p", "1", map[string]string{"/opt/a": "a", "/opt/b": "b"}))
	mutable := m.immutable("/opt/a")
	m.Must("order", "from-ima-log", m.measurements("/opt/a", "/opt/b"), "--reason", "test")
	m.WantLists("0-tlv-p-0:1-1.noarch")
	m.bound(map[string]string{"/opt/b": "0-tlv-p-0:1-1.noarch"})
	m.HasProblem("labels", "/opt/a")
	mutable()
	m.Must("sync")
	m.bound(map[string]string{"/opt/a": "0-tlv-p-0:1-1.noarch"})
	m.Solved("labels")
}

// A shared file is bound to the list that remains. One that resists does not keep the
// others of the package from it.
func TestOneSharedFileResists(t *testing.T) {
	m := start(t)
	key := m.vendor()
	both := map[string]string{"/opt/a": "a", "/opt/b": "b"}
	m.RPM("-U", m.pkg(key, "one", "1", both))
	m.RPM("-U", m.pkg(key, "two", "1", both))
	owner := strings.TrimSuffix(strings.TrimPrefix(m.Label("/opt/a"), "tlv-"), "-0:1-1.noarch")
	other := map[string]string{"one": "two", "two": "one"}[owner]
	mutable := m.immutable("/opt/a")
	m.OK(m.Root.Run("-e", "--justdb", owner))
	list := "tlv-" + other + "-0:1-1.noarch"
	m.WantLists(list)
	m.bound(map[string]string{"/opt/b": list})
	m.HasProblem("labels", "/opt/a")
	mutable()
	m.bound(map[string]string{"/opt/a": list})
	m.Solved("labels")
}

func TestLabelsAreWrittenAnewBeforeTheAnswer(t *testing.T) {
	m := start(t)
	key := m.vendor()
	one := map[string]string{"/opt/1a": "1a", "/opt/1b": "1b"}
	m.RPM("-U", m.pkg(key, "one", "1", one), m.pkg(key, "two", "1", map[string]string{"/opt/2": "2"}), m.pkg(key, "three", "1", map[string]string{"/opt/3": "3"}))
	m.Write("/srv/x", "x")
	m.Must("own", "add", "tools", m.Path("/srv/x"))

	m.renews("own update", func() {
		m.Write("/srv/y", "y")
		m.Must("own", "add", "tools", m.Path("/srv/x"), m.Path("/srv/y"))
	}, "/srv/x")
	m.renews("fix", func() { m.Must("fix", "--all") }, "/opt/1a", "/opt/1b", "/opt/3", "/srv/x")
	m.renews("deny", func() { m.Must("deny", "two<2", "--reason", "test") }, "/opt/2")
	m.renews("keys rotate", func() { m.Must("keys", "rotate", "--reason", "test") }, "/opt/1a", "/opt/1b", "/opt/3", "/srv/x")
	m.renews("rpm -U --justdb", func() { m.RPM("-U", "--justdb", m.pkg(key, "one", "2", one)) }, "/opt/1a", "/opt/1b")
	m.renews("rpm -e --justdb", func() {
		if err := m.Root.Run("-e", "--justdb", "three"); err != nil {
			t.Fatal(err)
		}
	}, "/opt/3")
	m.renews("keys revoke", func() { m.Must("keys", "revoke", key.Fingerprint(), "--reason", "test") }, "/opt/1a", "/opt/1b")
	m.renews("own rm", func() { m.Must("own", "rm", "tools") }, "/srv/x")
}

// held returns the names of the lists that the daemon has an O_PATH descriptor of.
func (m *machine) held() (names []string) {
	m.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(m.PID()), "fd")
	fds, err := os.ReadDir(dir)
	m.OK(err)
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err != nil || filepath.Dir(target) != m.Lists() {
			continue
		}
		info, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.PID()), "fdinfo", fd.Name()))
		if err != nil {
			continue
		}
		var flags int64
		for line := range strings.Lines(string(info)) {
			if value, ok := strings.CutPrefix(line, "flags:"); ok {
				flags, _ = strconv.ParseInt(strings.TrimSpace(value), 8, 64)
			}
		}
		if flags&unix.O_PATH != 0 {
			names = append(names, filepath.Base(target))
		}
	}
	slices.Sort(names)
	return names
}

func (m *machine) wantHeld(what string) {
	m.Helper()
	m.Until(what+": all lists are held", func() bool { return slices.Equal(m.held(), m.Names()) })
}

func TestListsAreHeld(t *testing.T) {
	m := start(t)
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "one", "1", map[string]string{"/opt/1": "1"}), m.pkg(key, "two", "1", map[string]string{"/opt/2": "2"}))
	m.Write("/srv/x", "x")
	m.Must("own", "add", "tools", m.Path("/srv/x"))
	m.WantLists("tlv-one-0:1-1.noarch", "tlv-two-0:1-1.noarch", toolsList)
	m.wantHeld("installed")
	m.RPM("-U", m.pkg(key, "one", "2", map[string]string{"/opt/1": "new"}))
	m.wantHeld("upgraded")
	m.Must("keys", "rotate", "--reason", "test")
	m.wantHeld("signed anew")
	m.Must("order", "from-ima-log", m.measurements("/opt/1"), "--reason", "test")
	m.wantHeld("renamed")
	m.OK(m.Root.Run("-e", "two"))
	m.wantHeld("erased")
	m.Stop()
	m.Start()
	m.wantHeld("started again")
}

// The lists of a start were held by nobody. The labels of their files are written once
// more, which a trace of the system calls shows.
func TestLabelsAreWrittenAnewAtAStart(t *testing.T) {
	m := start(t)
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "one", "1", map[string]string{"/opt/1": "1", "/opt/2": "2"}))
	m.Stop()
	m.Start()
	const written = `msg="labels written again" reason="their lists were not held" lists=1 files=2 failed=0`
	if kernel.Detect("/").DigestCache == kernel.No {
		m.Must("sync")
		if strings.Contains(m.Log(), written) {
			t.Error("labels were written anew, and no kernel here has cached a list")
		}
		return
	}
	m.Until("labels are written anew", func() bool { return strings.Contains(m.Log(), written) })
}

// A list is held before it can be found, and a trace of the system calls shows it.
func TestAListIsHeldBeforeItAppears(t *testing.T) {
	m := start(t)
	key := m.vendor()
	trace := filepath.Join(t.TempDir(), "trace")
	strace := exec.Command("strace", "-f", "-qq", "-y", "-e", "trace=openat,renameat2,setxattr,unlinkat", "-o", trace, "-p", strconv.Itoa(m.PID()))
	m.OK(strace.Start())
	m.Until("strace attaches", func() bool {
		status, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.PID()), "status"))
		return strings.Contains(string(status), "TracerPid:\t"+strconv.Itoa(strace.Process.Pid))
	})
	m.RPM("-U", m.pkg(key, "one", "1", map[string]string{"/opt/1": "1"}))
	m.WantLists("tlv-one-0:1-1.noarch")
	m.Must("deny", "one<2", "--reason", "test")
	m.WantLists()
	strace.Process.Signal(os.Interrupt)
	strace.Wait()
	data, err := os.ReadFile(trace)
	m.OK(err)
	at := func(from int, what string, words ...string) int {
		t.Helper()
		lines := strings.Split(string(data), "\n")
		for i := from; i < len(lines); i++ {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(lines[i], word) }) {
				return i + 1
			}
		}
		t.Fatalf("%s: no system call after number %d has all of %q\n%s", what, from, words, data)
		return 0
	}
	held := at(0, "held", "openat(", "lists.staging", "O_PATH")
	out := at(held, "published", "renameat2(", `"tlv-one-0:1-1.noarch"`, "RENAME_NOREPLACE")
	out = at(out, "taken out", "renameat2(", `"tlv-one-0:1-1.noarch"`)
	at(out, "label written anew", "setxattr(", "security.digest_list", `tlv-one-0:1-1.noarch`)
}

// A file system of the lists' own can be unmounted as soon as digestd has stopped.
func TestOwnMountOfTheListDirectory(t *testing.T) {
	place := t.TempDir()
	if err := unix.Mount("lists", place, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(place, unix.MNT_DETACH) })
	m := newMachine(t)
	m.ListDir = filepath.Join(place, "lists")
	m.Start()
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "one", "1", map[string]string{"/opt/1": "1"}))
	if err := unix.Unmount(place, 0); err != unix.EBUSY {
		t.Fatalf("unmounted while digestd holds the lists: %v", err)
	}
	m.Stop()
	if err := unix.Unmount(place, 0); err != nil {
		t.Fatalf("not unmounted after digestd stopped: %v", err)
	}
}

// order show prints the decision, not the progress of renaming lists.
func TestOrderShowAgreesWithOrder(t *testing.T) {
	m := start(t)
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "p", "1", map[string]string{"/opt/a": "a"}), m.pkg(key, "q", "1", map[string]string{"/opt/b": "b"}))
	set := decode[api.Order](m, "order", "from-ima-log", m.measurements("/opt/b", "/opt/a"), "--reason", "test")
	shown := decode[struct {
		api.Order
		Lists []api.Ordered
	}](m, "order", "show")
	if set.Numbered != 2 || shown.Numbered != 2 || len(shown.Lists) != 2 || shown.Lists[0].NEVRA != "q-1-1.noarch" {
		t.Fatalf("set %+v, shown %+v", set, shown)
	}
	m.Must("order", "clear")
	if out := m.Must("order", "show"); !strings.Contains(out, "no list has a number") {
		t.Fatalf("after clear: %s", out)
	}
}
