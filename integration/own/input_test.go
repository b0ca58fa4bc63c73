// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/godbus/dbus/v5"
)

// A file that cannot be hashed or found leads to a line and an exit code, and the published
// list stays as it is.
func TestBadInput(t *testing.T) {
	m := start(t)
	m.Write("/opt/t/good", "g")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	before := decode[api.Own](m, "own", "show", "tools")

	for name, to := range map[string]string{"/opt/l/loop": "loop", "/opt/l/up": ".."} {
		m.Write("/opt/l/x", "x")
		if err := os.Symlink(to, m.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	sparse := m.Write("/opt/s/sparse", "")
	m.OK(os.Truncate(sparse, 1<<40))
	m.Write("/opt/s/small", "s")
	mem := fmt.Sprintf("/proc/%d/mem", os.Getpid())
	for _, tc := range []struct {
		code  int
		words string
		args  []string
	}{
		{1, "too many levels of symbolic links", []string{"tools", m.Path("/opt/l/loop")}},
		{1, "no such file", []string{"tools", m.Path("/none")}},
		{1, "cannot hash /opt/s/sparse: it has 1099511627776 bytes", []string{"tools", m.Path("/opt/s")}},
		{1, "1 file could not be hashed, so nothing was published", []string{"tools", m.Path("/opt/s")}},
		{1, "outside of the root", []string{"tools", mem}},
		{2, "own add needs PATH", []string{"tools"}},
		{2, "letters, digits", []string{"to/ols", m.Path("/opt/t")}},
		{2, "letters, digits", []string{"-tools", m.Path("/opt/t")}[:0:0]},
		{2, "64 characters", []string{strings.Repeat("n", 65), m.Path("/opt/t")}},
		{2, "--algo", []string{"tools", "--algo", "md5", m.Path("/opt/t")}},
	} {
		if len(tc.args) > 0 {
			m.Fails(tc.code, tc.words, append([]string{"own", "add"}, tc.args...)...)
		}
	}
	if after := decode[api.Own](m, "own", "show", "tools"); after.Version != before.Version || after.Digest != before.Digest {
		t.Errorf("the list was %+v and is %+v", before, after)
	}
	m.Vouched("/opt/t/good", true)

	// The rest without it, if that is wanted.
	out, errOut, code := m.Ctl("own", "add", "rest", "--skip", "--json", m.Path("/opt/s"))
	var doc struct {
		api.OwnResult
		Skipped []struct{ Path, Error string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 3 || doc.Files != 1 || len(doc.Skipped) != 1 || doc.Skipped[0].Path != "/opt/s/sparse" {
		t.Errorf("exit code %d, %v\n%s%s", code, err, out, errOut)
	}
	m.wholesome("rest.1", "tools.1")
}

// Paths on standard input, by line or by NUL, and what is no text.
func TestPathsOnStandardInput(t *testing.T) {
	m := start(t)
	names := []string{"/opt/plain", "/opt/new\nline", "/opt/caf\xe9", "/opt/sp ace"}
	for _, n := range names {
		m.Write(n, n)
	}
	var nul strings.Builder
	for _, n := range names {
		nul.WriteString(m.Path(n) + "\x00")
	}
	if out, errOut, code := m.CtlWith(nul.String(), "own", "add", "list", "-0", "-"); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errOut)
	}
	for _, n := range names {
		m.Vouched(n, true)
		if l := m.Label(n); l != "tlv-own-list" {
			t.Errorf("%q is bound to %q", n, l)
		}
	}
	if out := m.Must("own", "show", "--files", "list"); !strings.Contains(out, `/opt/new\nline`) || !strings.Contains(out, `/opt/caf\xe9`) {
		t.Errorf("own show:\n%s", out)
	}
	// The files themselves are what it is made of: one that is gone leaves it.
	os.Remove(m.Path("/opt/plain"))
	m.Write("/opt/sp ace", "changed")
	if r := m.update("list"); r.Version != 2 || r.Files != 3 {
		t.Errorf("%+v", r)
	}
	m.Vouched("/opt/sp ace", true)
	_, errOut, code := m.CtlWith("opt/caf\xe9\nnowhere\n", "own", "add", "lines", "-")
	if code != 1 || !strings.Contains(errOut, "cannot hash /nowhere: no such file") {
		t.Errorf("exit code %d\n%s", code, errOut)
	}
}

// Files that the kernel measured, in either form of its log, are listed if they have not
// changed.
func TestFromMeasurements(t *testing.T) {
	m := start(t)
	line := func(path, content string) string { return measured(m.Path(path), content) }
	m.Write("/opt/same", "same")
	m.Write("/opt/other", "now")
	log := filepath.Join(t.TempDir(), "log")
	text := "10 " + strings.Repeat("0", 40) + " ima-ng sha256:" + strings.Repeat("0", 64) + " boot_aggregate\n" + line("/opt/same", "before") + line("/opt/same", "same")
	m.OK(os.WriteFile(log, []byte(text), 0o644))
	m.Must("own", "add", "boot", "--ima-log", log)
	m.Vouched("/opt/same", true)
	m.OK(os.WriteFile(log, []byte(text+line("/opt/other", "then")+line("/opt/gone", "g")), 0o644))
	m.Fails(1, "2 files could not be hashed", "own", "add", "boot", "--ima-log", log)
	m.Fails(1, "cannot hash /opt/other: it is not what it was when it was measured", "own", "add", "boot", "--ima-log", log)
	m.Vouched("/opt/other", false)
	m.Fails(1, "line 1", "own", "add", "boot", "--ima-log", m.Write("/opt/nolog", "10 x\n"))
}

// A list of a million entries is like any other, within the bounds of memory.
func TestMillionEntries(t *testing.T) {
	m := start(t)
	const n = 1_000_000
	body, err := digestlist.AppendTLVHead(nil, digestlist.SHA256, n)
	m.OK(err)
	sum := make([]byte, 32)
	for i := range n {
		sum[0], sum[1], sum[2] = byte(i), byte(i>>8), byte(i>>16)
		if body, err = digestlist.AppendTLVEntry(body, digestlist.SHA256, digestlist.Entry{Digest: sum, Path: fmt.Sprintf("/opt/many/%07d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	b := newBuilder(t, "builder")
	m.trust(b)
	file := b.sign(t, body)
	if r := decode[api.OwnResult](m, "own", "import", "many", file); r.Files != n || r.Missing != n {
		t.Errorf("%+v", r)
	}
	// Twice the list, which is mapped for a while, and what finds its files.
	if peak := m.peak(); peak > 256<<20 {
		t.Errorf("at most %d bytes were resident", peak)
	}
	if s := m.Status(); s.Files != n || s.State != api.Healthy {
		t.Errorf("%d files, %+v", s.Files, s.Problems)
	}
	m.Must("format", "check", "--key", filepath.Join(m.State(), "signing.crt"), filepath.Join(m.Lists(), "tlv-own-many"))
	m.Must("own", "rm", "many")
	m.wholesome()
}

// peak is how much memory the daemon had at most, in bytes.
func (m *machine) peak() (n int64) {
	m.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err == nil {
		_, rest, _ := strings.Cut(string(data), "VmHWM:")
		_, err = fmt.Sscan(rest, &n)
	}
	m.OK(err)
	return n << 10
}

// Callers who send nonsense, or too much of it, or what is not theirs.
func TestHostileCallers(t *testing.T) {
	m := start(t)
	first, second := m.connect(), m.connect()
	const method = "org.digestd1.Manager."
	call := func(c dbus.BusObject, name string, args ...any) (uint64, error) {
		var id uint64
		err := c.Call(method+name, 0, args...).Store(&id)
		return id, err
	}
	publish := func(c dbus.BusObject, id uint64, name string) error {
		_, err := call(c, "OwnPublish", id, name, uint64(0), [][]byte{}, false, false, "")
		return err
	}
	id, err := call(first, "OwnAppend", uint64(0), "AAA=")
	m.OK(err)
	if _, err := call(second, "OwnAppend", id, "eHg="); err == nil {
		t.Error("another connection added to an upload")
	}
	if _, err := call(first, "OwnAppend", id, base64.StdEncoding.EncodeToString(make([]byte, 1<<20+1))); err == nil {
		t.Error("a piece was too large and was taken")
	}
	for i := range 3 {
		if _, err := call(second, "OwnAppend", uint64(0), "eHg="); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := call(second, "OwnAppend", uint64(0), "eHg="); err == nil {
		t.Error("uploads without end")
	}
	// A job fails; what is published is not touched.
	if err := publish(first, id, "../../etc/x"); err != nil {
		t.Error(err)
	}
	if err := publish(first, id, "x"); err != nil {
		t.Error(err)
	}
	m.Until("three own lists are kept", func() bool { return len(m.NamesIn(filepath.Join(m.State(), "own"))) == 3 })
	m.WantLists()
	m.Kill()
	m.Start()
	m.wholesome()
}

func (m *machine) connect() dbus.BusObject {
	m.Helper()
	conn, err := dbus.Connect(m.Bus.Address)
	m.OK(err)
	m.Cleanup(func() { conn.Close() })
	return conn.Object(api.BusName, api.Path)
}

// No room for a list: the one that is published stays, and so does its number.
func TestNoRoom(t *testing.T) {
	m := newMachine(t)
	m.OK(os.Mkdir(m.State(), 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "digestd-test", m.State()).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		m.Kill()
		if out, err := exec.Command("umount", m.State()).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	m.Start()
	b := newBuilder(t, "builder")
	m.trust(b)
	m.Write("/opt/t", "t")
	small := b.list(t, map[string]string{"/opt/t": "t"})
	m.Must("own", "import", "tools", small)
	many := map[string]string{}
	for i := range 20_000 {
		many[fmt.Sprintf("/opt/many/%d", i)] = "t"
	}
	m.Fails(1, "no space left on device", "own", "import", "tools", b.list(t, many))
	m.Vouched("/opt/t", true)
	m.wholesome("tools.1.imported")
	if err := os.WriteFile(filepath.Join(m.State(), "full"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the file system has room")
	}
	m.Write("/opt/u", "u")
	m.Fails(1, "no space left on device", "own", "add", "more", m.Path("/opt/u"))
	m.Vouched("/opt/t", true)
	m.OK(os.Remove(filepath.Join(m.State(), "full")))
	if r := decode[api.OwnResult](m, "own", "add", "more", m.Path("/opt/u")); r.Version != 1 {
		t.Errorf("%+v", r)
	}
	m.Must("sync")
	m.wholesome("more.1", "tools.1.imported")
}
