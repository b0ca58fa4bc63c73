// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	godiff "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// place is a tree with lists that vouch for it.
type place struct {
	*testing.T
	spec verify.Spec
}

func newPlace(t *testing.T) *place {
	p := &place{t, verify.Spec{Root: filepath.Join(t.TempDir(), "root"), Lists: t.TempDir(), Tree: true}}
	p.dir("/usr/bin")
	return p
}

func (p *place) path(name string) string { return filepath.Join(p.spec.Root, name) }

func (p *place) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *place) dir(name string) {
	p.Helper()
	p.ok(os.MkdirAll(p.path(name), 0o755))
}

func (p *place) write(name, content string, mode os.FileMode) {
	p.Helper()
	p.dir(filepath.Dir(name))
	p.ok(os.WriteFile(p.path(name), []byte(content), mode))
	p.ok(os.Chmod(p.path(name), mode))
}

// list writes a list of files, name and content by turns, and the files too.
func (p *place) list(name string, files ...string) {
	p.Helper()
	group := digestlist.Group{Algo: digestlist.SHA256}
	for i := 0; i < len(files); i += 2 {
		sum := sha256.Sum256([]byte(files[i+1]))
		group.Entries = append(group.Entries, digestlist.Entry{Digest: sum[:], Path: files[i]})
		p.write(files[i], files[i+1], 0o755)
	}
	p.publish(name, group)
}

func (p *place) publish(name string, groups ...digestlist.Group) {
	p.Helper()
	data, err := digestlist.AppendTLV(nil, groups)
	p.ok(err)
	p.ok(os.WriteFile(filepath.Join(p.spec.Lists, name), data, 0o644))
	sum := sha256.Sum256(data)
	p.spec.Entries = append(p.spec.Entries, verify.Entry{Name: name, State: active, Package: strings.TrimPrefix(name, "tlv-"), File: sum[:], Wanted: true})
	slices.SortFunc(p.spec.Entries, func(a, b verify.Entry) int { return cmp.Compare(a.Name, b.Name) })
}

func (p *place) label(name, list string) {
	p.Helper()
	root, err := kernel.OpenRoot(p.spec.Root)
	p.ok(err)
	defer root.Close()
	f, err := root.Find(name, false)
	p.ok(err)
	defer f.Close()
	p.ok(f.SetLabel(list))
}

// result is what a run told.
type result struct {
	units    []verify.Unit
	files    int
	bytes    uint64
	findings []api.Finding
}

func (p *place) verify() result {
	p.Helper()
	r, err := p.try(p.Context())
	p.ok(err)
	return r
}

func (p *place) try(ctx context.Context) (r result, err error) {
	err = run(ctx, p.spec, nil, func(m verify.Message) error {
		if m.Unit != nil {
			r.units = append(r.units, *m.Unit)
			r.files += m.Unit.Files
			r.bytes += m.Unit.Bytes
			r.findings = append(r.findings, m.Unit.Findings...)
		}
		return nil
	})
	return r, err
}

// want compares findings, each "kind path".
func (r result) want(t *testing.T, findings ...string) {
	t.Helper()
	got := []string{}
	for _, f := range r.findings {
		line := f.Kind + " " + f.Path
		if f.RawPath != nil {
			line = f.Kind + " " + string(f.RawPath)
		}
		if f.Severity == api.SeverityNotice {
			line = "notice: " + line
		}
		if f.Fixed {
			line = "fixed: " + line
		}
		got = append(got, line)
	}
	slices.Sort(got)
	if diff := godiff.Diff(slices.Sorted(slices.Values(findings)), got); diff != "" && len(findings)+len(got) > 0 {
		t.Errorf("findings (-want +got):\n%s%+v", diff, r.findings)
	}
}

func TestAsItShouldBe(t *testing.T) {
	needs.Root(t)
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a", "/usr/bin/b", "b")
	p.list("tlv-b", "/usr/share/data", strings.Repeat("data", 100_000))
	p.label("/usr/bin/a", "tlv-a")
	p.write("/etc/plain", "nobody executes this", 0o644)
	p.write("/usr/local/bin/copy", "a", 0o755) // vouched for under another name
	r := p.verify()
	r.want(t)
	if r.files != 4 || r.bytes != 400_003 {
		t.Errorf("%d files, %d bytes", r.files, r.bytes)
	}
}

func TestWhatIsWrong(t *testing.T) {
	needs.Root(t)
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a", "/usr/bin/gone", "gone", "/usr/bin/dir", "dir", "/usr/lib/deep/file", "x")
	p.list("tlv-b", "/usr/bin/bound", "bound", "/usr/bin/stale", "stale")
	p.list("tlv-c", "/usr/bin/c", "c")
	p.write("/usr/bin/a", "changed", 0o755)
	p.ok(os.Remove(p.path("/usr/bin/gone")))
	p.ok(os.Remove(p.path("/usr/bin/dir")))
	p.dir("/usr/bin/dir")
	p.ok(os.RemoveAll(p.path("/usr/lib/deep")))
	p.write("/usr/lib/deep", "a file where a directory was", 0o644)
	p.label("/usr/bin/bound", "tlv-a")
	p.label("/usr/bin/stale", "tlv-of-yesterday")
	p.write("/usr/bin/dropped", "dropped", 0o755)
	p.write("/usr/lib/plugin.so.1", "mapped by a process", 0o644)
	p.write("/usr/local/copy", "c", 0o755)
	p.label("/usr/local/copy", "tlv-a")
	p.ok(os.WriteFile(filepath.Join(p.spec.Lists, "tlv-c"), []byte("forged"), 0o644))
	want := []string{"changed /usr/bin/a", "missing /usr/bin/gone", "changed /usr/bin/dir", "missing /usr/lib/deep/file",
		"label /usr/bin/bound", "label /usr/bin/stale", "unvouched /usr/bin/dropped", "unvouched /usr/lib/plugin.so.1",
		"list ", "unvouched /usr/bin/c", "unvouched /usr/local/copy"}
	r := p.verify()
	r.want(t, want...)
	for _, f := range r.findings {
		if f.Path == "/usr/bin/a" && (f.Expected != fmt.Sprintf("%x", sha256.Sum256([]byte("a"))) || f.Digest != fmt.Sprintf("%x", sha256.Sum256([]byte("changed")))) {
			t.Errorf("digests of %+v", f)
		}
	}
	p.spec.Fix = true
	want[4], want[5] = "fixed: label /usr/bin/bound", "fixed: label /usr/bin/stale"
	p.verify().want(t, want...)
	p.verify().want(t, slices.Concat(want[:4], want[6:])...)
}

func TestFixUnlabelled(t *testing.T) {
	needs.Root(t)
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a", "/usr/bin/b", "b")
	p.write("/usr/bin/b", "changed", 0o755)
	p.spec.Fix = true
	p.verify().want(t, "changed /usr/bin/b")
	p.spec.Unlabelled = true
	p.verify().want(t, "changed /usr/bin/b", "fixed: label /usr/bin/a")
	p.verify().want(t, "changed /usr/bin/b")
	if _, err := unix.Getxattr(p.path("/usr/bin/b"), kernel.LabelName, nil); err != unix.ENODATA {
		t.Errorf("a changed file has a label: %v", err)
	}
}

// A file has one content, whatever names and lists it has.
func TestReadOnce(t *testing.T) {
	p := newPlace(t)
	big := strings.Repeat("content", 50_000)
	p.list("tlv-a", "/usr/bin/one", big)
	p.ok(os.Link(p.path("/usr/bin/one"), p.path("/usr/bin/two")))
	p.ok(os.Link(p.path("/usr/bin/one"), p.path("/usr/bin/three")))
	sum := sha256.Sum256([]byte(big))
	for _, l := range []struct{ name, path string }{{"tlv-b", "/usr/bin/two"}, {"tlv-c", "/usr/bin/one"}} {
		p.publish(l.name, digestlist.Group{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: l.path}}})
	}
	r := p.verify()
	r.want(t)
	if r.bytes != uint64(len(big)) || r.files != 4 {
		t.Errorf("read %d bytes of %d files, want %d of 4", r.bytes, r.files, len(big))
	}
}

// A path that two packages have, each with its own content, is right for one.
func TestSharedPath(t *testing.T) {
	needs.Root(t)
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/tool", "of a")
	p.list("tlv-b", "/usr/bin/tool", "of b")
	p.verify().want(t)
	p.label("/usr/bin/tool", "tlv-b")
	p.verify().want(t)
	p.write("/usr/bin/tool", "of nobody", 0o755)
	p.verify().want(t, "changed /usr/bin/tool", "changed /usr/bin/tool")
}

// A file that a list names /bin/tool is in /usr/bin: it is one file, found once.
func TestLinkedDirectories(t *testing.T) {
	p := newPlace(t)
	p.ok(os.Symlink("usr/bin", p.path("/bin")))
	p.list("tlv-a", "/bin/tool", "tool")
	p.verify().want(t)
	p.write("/usr/bin/tool", "changed", 0o755)
	p.verify().want(t, "changed /bin/tool")
	p.spec.Tree = false
	for _, at := range []string{"/bin", "/usr", "/usr/bin/tool", "/bin/tool", "/"} {
		p.spec.Paths = []verify.Path{verify.Path(at)}
		r := p.verify()
		r.want(t, "changed /bin/tool")
		if r.files != 1 {
			t.Errorf("%s: %d files", at, r.files)
		}
	}
	p.spec.Paths = []verify.Path{verify.Path("/etc")}
	p.dir("/etc")
	p.verify().want(t)
}

func TestPaths(t *testing.T) {
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a", "/usr/binary", "b")
	p.spec.Entries = append(p.spec.Entries, verify.Entry{Name: "tlv-w", State: withheld, Package: "w", Text: "unsigned", Wanted: true})
	p.write("/usr/binary", "changed", 0o755)
	p.write("/opt/note", "text", 0o644)
	p.write("/opt/script", "text", 0o755)
	p.ok(unix.Mkfifo(p.path("/opt/fifo"), 0o755))
	p.ok(os.Symlink("loop", p.path("/opt/loop")))
	p.ok(os.Symlink("../usr/bin/a", p.path("/opt/link")))
	p.ok(os.Remove(p.path("/usr/bin/a")))
	p.ok(os.Symlink("/usr/bin/b", p.path("/usr/bin/dangling")))
	p.spec.Tree = false
	for _, c := range []struct {
		paths string
		want  []string
	}{
		{"/usr/bin", []string{"missing /usr/bin/a"}},
		{"/usr/bin/a", []string{"missing /usr/bin/a"}},
		{"/opt", []string{"unvouched /opt/script"}},
		{"/opt/note", []string{"unvouched /opt/note"}},
		{"/opt/script /opt/script", []string{"unvouched /opt/script"}},
		{"/opt /opt/note", []string{"unvouched /opt/script"}},
		{"/opt/fifo", []string{"unreadable /opt/fifo"}},
		{"/opt/loop", []string{"unreadable /opt/loop"}},
		{"/no/such", []string{"missing /no/such"}},
		{"/usr/bin/dangling", []string{"missing /usr/bin/dangling"}},
	} {
		p.spec.Paths = nil
		for path := range strings.FieldsSeq(c.paths) {
			p.spec.Paths = append(p.spec.Paths, verify.Path(path))
		}
		t.Run(c.paths, func(t *testing.T) { p.verify().want(t, c.want...) })
	}
}

func TestHostileNames(t *testing.T) {
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/new\nline", "a", "/usr/bin/latin-\xe9", "b", "/usr/bin/\x1b[2J", "c")
	p.verify().want(t)
	for _, name := range []string{"new\nline", "latin-\xe9", "\x1b[2J"} {
		p.write("/usr/bin/"+name, "changed", 0o755)
		p.write("/opt/"+name, "of nobody", 0o755)
	}
	p.verify().want(t, "changed /usr/bin/new\nline", "changed /usr/bin/latin-\xe9", "changed /usr/bin/\x1b[2J",
		"unvouched /opt/new\nline", "unvouched /opt/latin-\xe9", "unvouched /opt/\x1b[2J")
}

func TestWhatCannotBeRead(t *testing.T) {
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a")
	p.write("/usr/bin/holes", "", 0o755)
	p.ok(os.Truncate(p.path("/usr/bin/holes"), 1<<42))
	p.write("/usr/bin/a", "", 0o755)
	p.ok(os.Truncate(p.path("/usr/bin/a"), 1<<42))
	r := p.verify()
	r.want(t, "unreadable /usr/bin/holes", "unreadable /usr/bin/a")
	if !strings.Contains(r.findings[0].Text, "sparse") {
		t.Errorf("it says %q", r.findings[0].Text)
	}
	p = newPlace(t)
	p.spec.Root, p.spec.Tree, p.spec.Paths = "/", false, []verify.Path{verify.Path("/proc/self/mem")}
	r = p.verify()
	if len(r.findings) != 1 || r.findings[0].Kind != api.FindingUnreadable {
		t.Errorf("found %+v", r.findings)
	}
}

func TestChangesWhileRead(t *testing.T) {
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a")
	// So large that the writer has its turn while it is read.
	p.ok(os.Truncate(p.path("/usr/bin/a"), 256<<20))
	f, err := os.OpenFile(p.path("/usr/bin/a"), os.O_WRONLY, 0)
	p.ok(err)
	defer f.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				f.WriteAt([]byte{byte(i)}, i%(256<<20))
				os.Chtimes(p.path("/usr/bin/a"), time.Unix(i, 0), time.Unix(i, 0))
			}
		}
	}()
	r := p.verify()
	close(stop)
	<-stopped
	r.want(t, "busy /usr/bin/a")
}

func TestWideDigests(t *testing.T) {
	p := newPlace(t)
	p.write("/usr/bin/a", "a", 0o755)
	p.write("/usr/bin/b", "b", 0o755)
	p.write("/usr/bin/copy", "a", 0o755)
	a, b := sha512.Sum512([]byte("a")), sha512.Sum384([]byte("b"))
	p.publish("tlv-a", digestlist.Group{Algo: digestlist.SHA512, Entries: []digestlist.Entry{{Digest: a[:], Path: "/usr/bin/a"}}},
		digestlist.Group{Algo: digestlist.SHA384, Entries: []digestlist.Entry{{Digest: b[:], Path: "/usr/bin/b"}}})
	p.verify().want(t)
	p.write("/usr/bin/b", "changed", 0o755)
	p.verify().want(t, "changed /usr/bin/b")
}
