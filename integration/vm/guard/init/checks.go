// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

var refused = syscall.EPERM

// machine is the one that this program is the first process of.
type machine struct {
	*reporter
	set    *bpf.Set
	events *bpf.Events
	self   guard.Digest
}

func (m *machine) run(part string) {
	parts := map[string]func(){
		"unsuited": m.unsuited, "otherhash": m.otherHash, "commandline": m.commandLine, "auditline": m.auditLine, "bench": m.bench, "seal": m.seal, "exemptions": m.exemptions, "service": m.service,
		"audit": m.audit, "enforce": m.enforce, "writes": m.writes, "maps": m.maps,
		"loader": m.loader, "running": m.running, "asked": m.asked, "exchange": m.exchange,
		"filesystems": m.filesystems, "sets": m.sets, "races": m.races, "strict": m.strict, "off": m.off,
		"kexec": m.kexec, "kexeced": m.kexeced, "together": m.together,
	}
	names := []string{part}
	if part == "all" {
		names = []string{"audit", "enforce", "writes", "maps", "loader", "running", "asked", "together", "filesystems", "exemptions", "sets", "exchange", "races", "strict", "seal", "off", "service"}
	}
	for _, name := range names {
		within(12*time.Minute, func() {
			begun := time.Now()
			if m.set == nil && !slices.Contains([]string{"unsuited", "commandline", "auditline", "service", "bench", "kexeced"}, name) {
				m.load()
			}
			if m.events != nil {
				m.drain()
			}
			if name != "audit" && m.set != nil {
				m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit})
			}
			parts[name]()
			m.fact("part %s took %.1f s", name, time.Since(begun).Seconds())
		})
	}
}

// unsuited: where bpf is no active security module nothing is loaded.
func (m *machine) unsuited() {
	k, err := bpf.Probe()
	m.check("probe says that the kernel cannot have it", bpf.ErrUnsuited, err)
	if k != nil {
		m.fact("active security modules: %s", k.LSMs)
	}
	_, err = bpf.Load(bpf.DefaultDir, bpf.Options{})
	m.check("loading is refused", bpf.ErrUnsuited, err)
}

// otherHash: where IMA hashes by another algorithm the guard would refuse everything. A kernel
// that does not have that algorithm goes on with SHA-256, and the guard can be used.
func (m *machine) otherHash() {
	must(m.set.SetSettings(guard.Settings{}))
	if logged("going to use default hash algorithm sha256") {
		m.fact("the kernel has no algorithm of that name")
		m.check("without the algorithm the self-test succeeds", nil, m.set.SelfTest())
		must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit}))
		m.enforce()
		return
	}
	m.check("the self-test says so", bpf.ErrSelfTest, m.set.SelfTest())
	s, err := m.set.Settings()
	must(err)
	m.equal("it is off as before", guard.Off, s.Mode)
	must(m.set.SetSettings(guard.Settings{Mode: guard.Audit}))
	program("/t/other", "x")
	m.check("audit lets everything run", nil, run("/t/other"))
	m.equal("and says why not to enforce", guard.Unhashed, m.event("/t/other").Reason)
}

// logged reports whether the kernel has said something.
func logged(what string) bool {
	log := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, log)
	must(err)
	return bytes.Contains(log[:n], []byte(what))
}

func (m *machine) load() {
	k, err := bpf.Probe()
	must(err)
	m.fact("active security modules: %s", k.LSMs)
	begun := time.Now()
	m.set, err = bpf.Load(bpf.DefaultDir, bpf.Options{Strict: true, Seal: true})
	must(err)
	m.fact("loaded in %.1f s", time.Since(begun).Seconds())
	verified := m.set.Verified()
	for _, name := range slices.Sorted(mapKeys(verified)) {
		m.fact("verified %s %d", name, verified[name])
		if n := verified[name]; n == 0 || n > 100_000 {
			m.failed("the verifier's work on "+name, fmt.Sprintf("%d instructions, want 1 to 100,000", n))
		}
	}
	s, err := m.set.Settings()
	must(err)
	m.equal("a new guard is off", guard.Off, s.Mode)
	m.events, err = m.set.Events()
	must(err)
	m.self = digestOf("/init")
	must(m.set.Admit([]guard.Digest{m.self}))
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func digestOf(path string) guard.Digest {
	f, err := os.Open(path)
	must(err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(err)
	return guard.Digest(h.Sum(nil))
}

// program makes a file that runs, with a content of its own.
func program(path, content string) guard.Digest {
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, append(tiny(), content...), 0o755))
	return digestOf(path)
}

func (m *machine) admit(d guard.Digest) { must(m.set.Admit([]guard.Digest{d})) }
func (m *machine) expel(d guard.Digest) { must(m.set.Expel([]guard.Digest{d})) }

// drain forgets the events that wait.
func (m *machine) drain() {
	for {
		if _, err := m.events.Next(time.Now().Add(50 * time.Millisecond)); err != nil {
			return
		}
	}
}

// event waits for one of a path.
func (m *machine) event(path string) *guard.Event {
	until := time.Now().Add(5 * time.Second)
	for {
		e, err := m.events.Next(until)
		if err != nil {
			return &guard.Event{}
		}
		if e.Path == path {
			return e
		}
	}
}

// audit: everything runs, and is told of.
func (m *machine) audit() {
	m.check("self-test", nil, m.set.SelfTest())
	d := program("/t/audited", "a")
	must(run("/t/audited")) // off
	m.drain()
	must(m.set.SetSettings(guard.Settings{Mode: guard.Audit}))
	m.check("audit allows it", nil, run("/t/audited"))
	e := m.event("/t/audited")
	m.equal("audit tells what, why and by whom", "exec unlisted false 1 1000",
		fmt.Sprintf("%v %v %v %d %d", e.Act, e.Reason, e.Refused, e.Process.Parent, 1000+e.Process.UID))
	m.equal("and the digest", fmt.Sprint(&d), fmt.Sprint(e.Digest))
	must(run("/init"))
	m.drain()
	before, err := m.set.Counts()
	must(err)
	for range 10 {
		must(run("/init"))
	}
	after, err := m.set.Counts()
	must(err)
	m.equal("what is listed causes no event and no hash", "0 0", fmt.Sprint(after.Missed-before.Missed, after.Hashed-before.Hashed))
	m.equal("an exec is two checks, of the file and of the mapping of its code", 20, after.Checks-before.Checks)
}

// enforce: what is listed runs, nothing else does, at once.
func (m *machine) enforce() {
	d := program("/t/tool", "1")
	m.check("unlisted: refused", refused, run("/t/tool"))
	e := m.event("/t/tool")
	m.equal("the refusal is told", "exec unlisted true", fmt.Sprint(e.Act, e.Reason, e.Refused))
	m.admit(d)
	m.check("listed: runs", nil, run("/t/tool"))
	program("/t/copy", "1")
	must(os.Link("/t/tool", "/t/link"))
	must(os.Symlink("tool", "/t/symlink"))
	for _, name := range []string{"copy", "link", "symlink"} {
		m.check(name+" of what is listed: runs", nil, run("/t/"+name))
	}
	m.admit(d)
	m.expel(d)
	m.check("another list holds it: runs", nil, run("/t/tool"))
	m.expel(d)
	for _, name := range []string{"tool", "copy", "link", "symlink"} {
		m.check("withdrawn: "+name+" is refused", refused, run("/t/"+name))
	}

	must(os.WriteFile("/t/script", []byte("#!/t/interpreter\n"), 0o755))
	script := digestOf("/t/script")
	interpreter := program("/t/interpreter", "2")
	m.admit(interpreter)
	m.check("unlisted script with a listed interpreter: refused", refused, run("/t/script"))
	m.admit(script)
	m.check("both listed: runs", nil, run("/t/script"))
	m.expel(interpreter)
	m.check("listed script with an unlisted interpreter: refused", refused, run("/t/script"))
	m.expel(script)

	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Trial: time.Second}))
	m.check("during a trial: refused", refused, run("/t/tool"))
	time.Sleep(time.Second)
	m.check("the trial ends by itself: runs", nil, run("/t/tool"))
	s, err := m.set.Settings()
	must(err)
	m.equal("and is mode audit", guard.Audit, s.Mode)
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce}))

	m.admit(d)
	n := 0
	for range pairs() {
		must(run("/t/tool"))
		m.expel(d)
		if run("/t/tool") == nil {
			n++
		}
		m.admit(d)
	}
	m.equal(fmt.Sprintf("of %d execs after a withdrawal, none began", pairs()), 0, n)
	m.expel(d)
	mappings := 20_000
	switch {
	case parameter("digestd.whole", "") != "":
		mappings = 1_000_000
	case pairs() >= 1000:
		mappings = 100_000
	}
	m.check(fmt.Sprintf("%d anonymous mappings that can run", mappings), nil, run("/init", "anonymous", strconv.Itoa(mappings)))
}

func pairs() int {
	n, err := strconv.Atoi(parameter("digestd.pairs", "100"))
	must(err)
	return n
}

// writes: a digest that is cached is void once the file changes.
func (m *machine) writes() {
	d := program("/t/changed", "1")
	m.admit(d)
	defer m.expel(d)
	must(run("/t/changed"))
	f, err := os.OpenFile("/t/changed", os.O_WRONLY|os.O_APPEND, 0)
	must(err)
	m.check("somebody may write: refused", refused, mapCode("/t/changed"))
	f.Write([]byte("x"))
	must(f.Close())
	m.check("altered: refused", refused, run("/t/changed"))
	info, err := os.Stat("/t/changed")
	must(err)
	must(os.Truncate("/t/changed", info.Size()-1))
	m.check("restored: runs", nil, run("/t/changed"))
	must(os.Truncate("/t/changed", info.Size()-2))
	m.check("truncated: refused", refused, run("/t/changed"))
	program("/t/changed", "1")
	m.check("written anew: runs", nil, run("/t/changed"))

	must(unix.Setxattr("/t/changed", "trusted.test", []byte("x"), 0))
	m.check("times changed: runs", nil, run("/t/changed"))
	other := program("/t/other", "2")
	must(os.Rename("/t/other", "/t/changed"))
	m.check("another file in its place: refused", refused, run("/t/changed"))
	m.admit(other)
	m.check("and listed: runs", nil, run("/t/changed"))
	m.expel(other)

	// A mapping that is shared and writable changes the file after its descriptor is closed.
	program("/t/changed", "1")
	f, err = os.OpenFile("/t/changed", os.O_RDWR, 0)
	must(err)
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	f.Close()
	m.check("mapped to be written: refused", refused, mapCode("/t/changed"))
	must(unix.Munmap(mem))
	m.check("and unmapped: runs", nil, run("/t/changed"))

	fuse := wide("/t/sparse", 1<<40)
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit, Largest: 1 << 30}))
	begun := time.Now()
	m.check("larger than anything listed: refused", refused, mapCode(fuse))
	if d := time.Since(begun); d > 2*time.Second {
		m.failed("and at once", d.String())
	} else {
		m.ok("and at once")
	}
	m.check("what is listed is not: runs", nil, run("/init"))
}

func wide(path string, size int64) string {
	f, err := os.Create(path)
	must(err)
	must(f.Truncate(size))
	must(f.Close())
	return path
}

// maps: libraries are checked as programs are.
func (m *machine) maps() {
	d := program("/t/library", "1")
	m.check("unlisted library: refused", refused, mapCode("/t/library"))
	m.equal("the refusal names it", "map unlisted", fmt.Sprint(m.last("/t/library")))
	m.check("in a process of its own, too", nil, negate(run("/init", "map", "/t/library")))
	m.check("read, then made code: refused", refused, mapThenProtect("/t/library"))
	m.admit(d)
	m.check("listed library: mapped", nil, mapCode("/t/library"))
	m.check("listed, then made code", nil, mapThenProtect("/t/library"))
	m.expel(d)
	m.check("withdrawn library: refused", refused, mapCode("/t/library"))
	m.check("withdrawn, then made code: refused", refused, mapThenProtect("/t/library"))
	program("/dev/library", "2")
	m.check("in devtmpfs: refused", refused, mapCode("/dev/library"))
	must(os.Remove("/dev/library"))

	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	m.check("shared anonymous memory that can run", nil, err)
	if err == nil {
		unix.Munmap(mem)
	}
	zero, err := os.OpenFile("/dev/zero", os.O_RDWR, 0)
	must(err)
	mem, err = unix.Mmap(int(zero.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	m.check("/dev/zero that can run", nil, err)
	if err == nil {
		unix.Munmap(mem)
	}
	zero.Close()

	memory := func(content string) string {
		fd, err := unix.MemfdCreate("test", 0)
		must(err)
		// An os.File that nothing holds any more would close the descriptor at some time.
		_, err = unix.Write(fd, append(tiny(), content...))
		must(err)
		return fmt.Sprintf("/proc/1/fd/%d", fd)
	}
	path := memory("memory")
	m.check("memfd that can run is memory", nil, mapCode(path))
	m.check("exec of an unlisted memfd: refused", refused, run(path))
	d = digestOf(path)
	m.admit(d)
	m.check("exec of a listed one: runs", nil, run(path))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteAt([]byte("X"), 6000)
	must(err)
	f.Close()
	m.check("exec of an altered one: refused", refused, run(path))
	m.expel(d)
}

// together: many processes map a file at once that nobody has run or mapped before. The
// kernel makes what it keeps of the inode for one of them.
func (m *machine) together() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	const files, threads = 200, 16
	failed := map[string]int{}
	for i := range files {
		path := fmt.Sprintf("/t/together%d", i)
		m.admit(program(path, fmt.Sprint("together ", i)))
		errs, start := make(chan error, threads), make(chan struct{})
		for range threads {
			go func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				<-start
				errs <- mapCode(path)
			}()
		}
		close(start)
		for range threads {
			if err := <-errs; err != nil {
				failed[err.Error()]++
			}
		}
		must(os.Remove(path))
	}
	m.equal("many map a new file at once", "map[]", fmt.Sprint(failed))
}

func (m *machine) last(path string) (guard.Act, guard.Reason) {
	e := m.event(path)
	return e.Act, e.Reason
}

func negate(err error) error {
	if err == nil {
		return fmt.Errorf("it succeeded")
	}
	return nil
}
