// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/confine"
	"github.com/digestd/digestd/repo/cache"
	"github.com/digestd/digestd/repo/metadata"
	"github.com/google/go-cmp/cmp"
)

// tryArgument has the test binary try what the process must not.
const tryArgument = "try-what-is-refused"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Argument {
		if os.Getenv("HOME") != "" {
			os.Exit(3) // nothing of the environment comes here
		}
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == tryArgument {
		if err := confine.Process(limits); err != nil {
			os.Exit(1)
		}
		_, ferr := os.Open("/etc/passwd")
		_, nerr := net.Dial("unix", "/run/dbus/system_bus_socket")
		_, perr := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
		if ferr == nil || nerr == nil || perr == nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestConfined(t *testing.T) {
	p, err := os.StartProcess("/proc/self/exe", []string{"feed", tryArgument}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.Wait(); err != nil || !st.Success() {
		t.Errorf("%v, %v", st, err)
	}
}

// file is one of a repository.
func file(t testing.TB, kind, text string) File {
	t.Helper()
	path := filepath.Join(t.TempDir(), kind)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	sum := sha256.Sum256([]byte(text))
	return File{kind, metadata.File{Name: kind, Size: int64(len(text)), Algo: "sha256", Sum: hex.EncodeToString(sum[:])}, f}
}

func offers(nevras ...string) string {
	var b strings.Builder
	for _, n := range nevras {
		f := strings.Fields(n)
		fmt.Fprintf(&b, `<package type="rpm"><name>%s</name><arch>%s</arch><version epoch="%s" ver="%s" rel="%s"/></package>`, f[0], f[1], f[2], f[3], f[4])
	}
	return "<metadata>" + b.String() + "</metadata>"
}

func mends(kind, id, stream string, nevras ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<update type="%s"><id>%s</id><severity>Important</severity><issued date="2026-02-0%d"/><references><reference id="CVE-2026-%s"/></references><pkglist><collection>`,
		kind, id, 1+len(nevras), "1000"+id[len(id)-1:])
	if stream != "" {
		name, s, _ := strings.Cut(stream, ":")
		fmt.Fprintf(&b, `<module name="%s" stream="%s"/>`, name, s)
	}
	for _, n := range nevras {
		f := strings.Fields(n)
		fmt.Fprintf(&b, `<package name="%s" arch="%s" epoch="%s" version="%s" release="%s"/>`, f[0], f[1], f[2], f[3], f[4])
	}
	return b.String() + "</collection></pkglist></update>"
}

func readFiles(t testing.TB, files ...File) (floors []Floor, s Summary, err error) {
	t.Helper()
	for _, f := range files {
		if _, err := f.Open.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Read(t.Context(), Program, files, func(f Floor) { floors = append(floors, f) })
	return floors, s, err
}

const modules = `---
document: modulemd
data:
  name: nodejs
  stream: 18
  artifacts:
    rpms:
    - nodejs-1:18.2-1.module.x86_64
`

func TestRead(t *testing.T) {
	primary := file(t, Primary, offers("bash x86_64 0 5 2", "bash x86_64 0 5 1", "zsh noarch 0 9 1", "nodejs x86_64 1 20.1 1.module", "nodejs x86_64 1 18.2 1.module"))
	info := file(t, Updateinfo, "<updates>"+
		mends("security", "VSA-1", "", "bash x86_64 0 5 1", "zsh noarch 0 10 1")+ // zsh 10 is not offered
		mends("security", "VSA-2", "", "bash x86_64 0 5 2", "absent x86_64 0 1 1")+
		mends("bugfix", "VBA-3", "", "zsh noarch 0 9 1")+
		mends("security", "VSA-4", "nodejs:18", "nodejs x86_64 1 18.1 1.module", "nodejs x86_64 1 18.3 1.module")+
		mends("security", "VSA-5", "nodejs:20", "nodejs x86_64 1 20.1 1.module")+"</updates>")
	floors, s, err := readFiles(t, primary, info, file(t, Modules, modules))
	if err != nil {
		t.Fatal(err)
	}
	want := []Floor{
		{Name: "bash", Arch: "x86_64", EVR: "0:5-2", Advisory: "VSA-2", Severity: "Important", CVEs: []string{"CVE-2026-10002"}},
		{Name: "nodejs", Arch: "x86_64", Stream: "nodejs:18", EVR: "1:18.1-1.module", Advisory: "VSA-4", Severity: "Important", CVEs: []string{"CVE-2026-10004"}},
	}
	if diff := cmp.Diff(want, floors); diff != "" {
		t.Error(diff)
	}
	if want := (Summary{Advisories: 5, Security: 4, Packages: 5, Beyond: 4, Newest: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)}); s != want {
		t.Errorf("%+v\nwant %+v", s, want)
	}
	var said []Said
	for _, id := range []string{"VSA-2", "CVE-2026-10005", "CVE-2026-1"} {
		if err := Find(t.Context(), Program, []File{file(t, Updateinfo, "<updates>"+mends("security", "VSA-2", "", "bash x86_64 0 5 2")+mends("security", "VSA-5", "", "a noarch 0 1 1")+"</updates>")},
			id, func(s Said) { said = append(said, s) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(said) != 2 || said[0].ID != "VSA-2" || said[1].ID != "VSA-5" || said[1].Packages[0] != "a-0:1-1.noarch" {
		t.Errorf("%+v", said)
	}
}

func TestReadRepomd(t *testing.T) {
	m, err := ReadRepomd(t.Context(), Program, []byte(`<repomd><data type="primary"><checksum type="sha256">ab</checksum><location href="repodata/p.xml"/></data></repomd>`))
	if err != nil || m.Files["primary"].Name != "p.xml" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := ReadRepomd(t.Context(), Program, []byte("<repomd>")); err == nil || !strings.Contains(err.Error(), "ends inside") {
		t.Error(err)
	}
}

// A hostile repository leads to a line about it and to no floor.
func TestHostile(t *testing.T) {
	good := file(t, Primary, offers("bash x86_64 0 5 2"))
	other := file(t, Updateinfo, "<updates></updates>")
	other.Sum = strings.Repeat("0", 64)
	weak := file(t, Updateinfo, "<updates></updates>")
	weak.Algo = "sha1"
	for name, x := range map[string]struct {
		file File
		want string
	}{
		"another file":  {other, "another digest"},
		"a weak digest": {weak, "does not count"},
		"truncated":     {file(t, Updateinfo, "<updates>"+mends("security", "VSA-1", "", "bash x86_64 0 5 2")), "ends inside"},
		"no XML":        {file(t, Updateinfo, "\x00\x01\x02"), "no element"},
		"a million":     {file(t, Updateinfo, "<updates>"+strings.Repeat("<update/>", 1_000_000)+"</updates>"), "more than 200000"},
		"entities":      {file(t, Updateinfo, `<!DOCTYPE a [<!ENTITY a "b">]><updates/>`), "document type"},
	} {
		if _, s, err := readFiles(t, good, x.file); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// A reader that says nothing, no end, or nonsense is an error.
func TestReaderThatFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"cancelled":   func() error { _, err := Read(ctx, Program, nil, nil); return err },
		"no program":  func() error { _, err := Read(t.Context(), "/nonexistent", nil, nil); return err },
		"says no":     func() error { _, err := Read(t.Context(), "/bin/false", nil, nil); return err },
		"says y":      func() error { _, err := Read(t.Context(), "/usr/bin/yes", nil, nil); return err },
		"says little": func() error { _, err := ReadRepomd(t.Context(), "/bin/true", nil); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := clean("a\x1b[2J\u009b" + strings.Repeat("x", 1000)); strings.ContainsAny(got, "\x1b\u009b") || len(got) > 400 {
		t.Errorf("%q", got)
	}
}

// reader makes a program that says this, whatever it is asked.
func reader(t *testing.T, lines ...string) (program string) {
	t.Helper()
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	if err := os.WriteFile(said, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "reader")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec /bin/cat "+said+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

// A reader that a repository made its own says what it wants. What makes no sense, or is too
// much, is an error, and so is an answer without an end.
func TestReaderThatLies(t *testing.T) {
	const floor, end = `{"f":{"n":"bash","a":"x86_64","e":"0:5-2"}}`, `{"summary":{"advisories":1}}`
	seventeen := strings.Repeat(`"CVE-2026-1",`, keptCVEs) + `"CVE-2026-2"`
	for _, tc := range []struct {
		name  string
		lines []string
		want  string // "" is no error
	}{
		{"a floor", []string{floor, end}, ""},
		{"no end", []string{floor}, "did not come to the end"},
		{"no JSON", []string{floor, "bash", end}, "makes no sense"},
		{"a name with a slash", []string{`{"f":{"n":"a/b","a":"x86_64","e":"0:1-1"}}`, end}, "makes no sense"},
		{"no version", []string{`{"f":{"n":"a","a":"noarch","e":"x y"}}`, end}, "makes no sense"},
		{"no architecture", []string{`{"f":{"n":"a","e":"0:1-1"}}`, end}, "makes no sense"},
		{"too many CVEs", []string{`{"f":{"n":"a","a":"noarch","e":"0:1-1","c":[` + seventeen + `]}}`, end}, "makes no sense"},
		{"a long line", []string{`{"error":"` + strings.Repeat("x", maxLine) + `"}`}, "too long"},
		{"an error", []string{floor, `{"error":"the file \u001b[31mis bad"}`}, "the file [31mis bad"},
		{"too many floors", slices.Repeat([]string{floor}, MaxFloors+1), "more than 200000 packages"},
	} {
		floors := 0
		s, err := Read(t.Context(), reader(t, tc.lines...), nil, func(Floor) { floors++ })
		switch {
		case tc.want == "" && (err != nil || floors != 1 || s.Advisories != 1):
			t.Errorf("%s: %d floors, %+v, %v", tc.name, floors, s, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || s != Summary{} || floors > MaxFloors):
			t.Errorf("%s: %d floors, %+v, %v", tc.name, floors, s, err)
		}
	}
	found := 0
	lines := slices.Repeat([]string{`{"said":{"id":"VSA-1"}}`}, 1001)
	if err := Find(t.Context(), reader(t, lines...), nil, "VSA-1", func(Said) { found++ }); err == nil || found != 1000 {
		t.Errorf("%d advisories, %v", found, err)
	}
}

// A kind that a repository lists twice is read in the form that is on this disk.
func TestOpen(t *testing.T) {
	needs.Root(t) // to whom caches must belong
	root := t.TempDir()
	dir := filepath.Join(root, "var/cache/dnf/updates-0123456789abcdef/repodata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"repomd.xml", "p.xml.zck", "u.xml", "u.xml.zck"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, errs := cache.Find(root)
	if len(found) != 1 || len(errs) != 0 {
		t.Fatalf("%v, %v", found, errs)
	}
	defer found[0].Close()
	listed := func(names ...string) metadata.Repomd {
		m := metadata.Repomd{Files: map[string]metadata.File{}}
		for i := 0; i < len(names); i += 2 {
			m.Files[names[i]] = metadata.File{Name: names[i+1]}
		}
		return m
	}
	for _, tc := range []struct {
		name string
		m    metadata.Repomd
		want string // what the files contain
		fail bool
	}{
		{"both, one here", listed("primary", "p.xml", "primary_zck", "p.xml.zck"), "p.xml.zck", false},
		{"both, both here", listed("updateinfo", "u.xml", "updateinfo_zck", "u.xml.zck"), "u.xml", false},
		{"two kinds", listed("updateinfo", "u.xml", "primary_zck", "p.xml.zck"), "p.xml.zck u.xml", false},
		{"neither here", listed("primary", "p.xml", "primary_zck", "q.xml.zck"), "", true},
		{"the second is not here", listed("primary_zck", "p.xml.zck", "updateinfo", "absent"), "p.xml.zck", true},
		{"outside", listed("primary", "../repomd.xml"), "", true},
		{"none", listed("filelists", "f.xml"), "", false},
	} {
		files, err := Open(found[0], tc.m, Primary, Modules, Updateinfo)
		var got []string
		for _, f := range files {
			data, rerr := io.ReadAll(f.Open)
			if rerr != nil || tc.m.Files[f.Kind] != f.File && tc.m.Files[f.Kind+"_zck"] != f.File {
				t.Errorf("%s: %+v, %v", tc.name, f, rerr)
			}
			f.Open.Close()
			got = append(got, string(data))
		}
		if strings.Join(got, " ") != tc.want || (err != nil) != tc.fail {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
	}
}

// large is what a repository with 60,000 packages says, of each of which an advisory is.
func large() (primary, info string) {
	var p, u bytes.Buffer
	p.WriteString("<metadata>")
	u.WriteString("<updates>")
	for i := range 6000 {
		fmt.Fprintf(&u, `<update from="security@vendor.example" status="final" type="security" version="1"><id>VSA-2026:%05d</id><title>Important: package-%d</title>
<severity>Important</severity><issued date="2026-01-01"/><references><reference href="https://vendor.example/" id="CVE-2026-%05d" type="cve" title="CVE-2026-%05d"/></references>
<description>%s</description><pkglist><collection short="os"><name>os</name>`, i, i, i, i, strings.Repeat("It was found that a flaw lets others read what they must not. ", 20))
		for j := range 10 {
			name := fmt.Sprintf("package-%d-%d", i, j)
			fmt.Fprintf(&u, `<package name="%s" version="3.%d" release="18.el9" epoch="1" arch="x86_64" src="%s.src.rpm"><filename>%s.x86_64.rpm</filename><sum type="sha256">%064d</sum></package>`, name, j, name, name, i)
			fmt.Fprintf(&p, `<package type="rpm"><name>%s</name><arch>x86_64</arch><version epoch="1" ver="3.%d" rel="18.el9"/><checksum type="sha256" pkgid="YES">%064d</checksum><summary>Text</summary><format><rpm:license>MIT</rpm:license><file>/usr/bin/x</file></format></package>`, name, j, i)
		}
		u.WriteString("</collection></pkglist></update>")
	}
	p.WriteString("</metadata>")
	u.WriteString("</updates>")
	return p.String(), u.String()
}

// highest watches the memory of processes that this one starts, until it is called: it
// returns the most that one of them held, in KiB.
func highest() func() int {
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		found := 0
		for {
			select {
			case <-stop:
				most <- found
				return
			case <-time.After(2 * time.Millisecond):
			}
			lists, _ := filepath.Glob("/proc/self/task/*/children")
			for _, list := range lists {
				pids, _ := os.ReadFile(list)
				for _, pid := range strings.Fields(string(pids)) {
					command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
					status, _ := os.ReadFile("/proc/" + pid + "/status")
					_, after, is := strings.Cut(string(status), "VmHWM:")
					if kib := 0; is && strings.Contains(string(command), Argument) {
						fmt.Sscan(after, &kib)
						found = max(found, kib)
					}
				}
			}
		}
	}()
	return func() int { close(stop); return <-most }
}

// A repository of 60,000 packages is read in little memory, and in little time of a
// processor: how long that takes on a machine that others use tells nothing.
// docs/performance.md has the figures.
func TestLarge(t *testing.T) {
	p, u := large()
	files := []File{file(t, Primary, p), file(t, Updateinfo, u)}
	mib := []int{len(u) >> 20, len(p) >> 20}
	p, u = "", ""
	var before, after syscall.Rusage
	watch := highest()
	syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before)
	began := time.Now()
	floors, s, err := readFiles(t, files...)
	took := time.Since(began)
	syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after)
	held := watch() >> 10
	if err != nil || len(floors) != 60_000 || s.Security != 6000 {
		t.Fatalf("%d floors, %+v, %v", len(floors), s, err)
	}
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("%d MB of updateinfo and %d MB of primary in %v, of a processor %v; %d MiB at most", mib[0], mib[1], took, cpu, held)
	if raceDetector {
		return // the reader is this program, and the detector takes most of it
	}
	if cpu > 4*time.Second {
		t.Errorf("it took %v of a processor", cpu)
	}
	if held > 64 || held == 0 {
		t.Errorf("the process took %d MiB", held)
	}
}

func BenchmarkLarge(b *testing.B) {
	p, u := large()
	files := []File{file(b, Primary, p), file(b, Updateinfo, u)}
	watch := highest()
	for b.Loop() {
		if _, _, err := readFiles(b, files...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(watch()>>10), "MiB-peak")
}
