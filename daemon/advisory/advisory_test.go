// SPDX-License-Identifier: Apache-2.0

package advisory_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/integration/pkgtest"
)

func TestMain(m *testing.M) { daemontest.Main(m) }

// world is a machine with metadata of repositories.
type world struct {
	*daemontest.Machine
	t   *testing.T
	now time.Time
}

const repodata = "/var/cache/dnf/updates-0123456789abcdef/repodata/"

// newWorld is a machine on which vendor's package tool-1-1 is installed, and whose
// configuration says that vendor signs the packages of the repository updates.
func newWorld(t *testing.T, mode string, set ...func(*config.Config)) *world {
	t.Helper()
	needs.Root(t) // to whom caches must belong
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.Machine = daemontest.New(t, append(set, func(c *config.Config) { c.Advisories = mode })...)
	w.Machine.Stop()
	w.Clock = func() time.Time { return w.now }
	w.Start(t)
	vendor := daemontest.Key(t, "vendor")
	w.Import(t, vendor)
	w.Install(t, build(t, "tool", "1-1"))
	w.Sync(t)
	w.File(t, "/etc/pki/vendor.asc", string(vendor.Armor))
	w.File(t, "/etc/yum.repos.d/updates.repo", "[updates]\ngpgkey = file:///etc/pki/missing.asc\n  file:///etc/pki/$releasever.asc\n")
	w.File(t, "/etc/yum.repos.d/others.repo", "[others]\ngpgkey=https://vendor.example/key\n")
	return w
}

// build is a package by vendor.
func build(t *testing.T, name, evr string, files ...string) gendb.Small {
	t.Helper()
	p := daemontest.Package(t, name, "vendor", map[string]string{"/opt/" + name: name + evr})
	for _, f := range files {
		p.Files[f] = f
	}
	e, err := nevra.ParseEVR(evr)
	if err != nil {
		t.Fatal(err)
	}
	p.NEVRA.EVR = e
	return p
}

// publish writes the metadata of a repository of packages, "NAME EVR", all noarch, with one
// advisory about those that are mended.
func (w *world) publish(dir string, made int64, offers []string, mended ...string) {
	w.t.Helper()
	element := func(words string, format string) string {
		name, evr, _ := strings.Cut(words, " ")
		e, err := nevra.ParseEVR(evr)
		if err != nil {
			w.t.Fatal(err)
		}
		return fmt.Sprintf(format, name, e.Epoch, e.Version, e.Release)
	}
	var p, u strings.Builder
	for _, o := range offers {
		p.WriteString(element(o, `<package type="rpm"><name>%s</name><arch>noarch</arch><version epoch="%d" ver="%s" rel="%s"/></package>`))
	}
	for _, m := range mended {
		u.WriteString(element(m, `<package name="%s" arch="noarch" epoch="%d" version="%s" release="%s"/>`))
	}
	files := map[string]string{"primary": "<metadata>" + p.String() + "</metadata>",
		"updateinfo": `<updates><update type="security"><id>VSA-1</id><severity>Important</severity><references><reference id="CVE-2026-1000"/></references>` +
			"<pkglist><collection>" + u.String() + "</collection></pkglist></update></updates>"}
	var repomd strings.Builder
	for _, kind := range []string{"primary", "updateinfo"} {
		sum := sha256.Sum256([]byte(files[kind]))
		fmt.Fprintf(&repomd, `<data type="%s"><checksum type="sha256">%s</checksum><location href="repodata/%s.xml"/><timestamp>%d</timestamp><size>%d</size></data>`,
			kind, hex.EncodeToString(sum[:]), kind, made, len(files[kind]))
		w.File(w.t, dir+kind+".xml", files[kind])
	}
	w.File(w.t, dir+"repomd.xml", "<repomd>"+repomd.String()+"</repomd>")
}

// apply has the adviser look, and wants nothing left or something.
func (w *world) apply(left bool) {
	w.t.Helper()
	if got := w.Adviser.Apply(w.t.Context()); got != left {
		w.t.Errorf("something is left: %v; %+v", got, w.Problem("advisories"))
	}
}

func (w *world) advised() (texts []string) {
	all, err := w.Advisories(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		texts = append(texts, p.Package+" "+p.Mended)
	}
	return texts
}

func (w *world) want(texts ...string) {
	w.t.Helper()
	if got := w.advised(); !slices.Equal(got, texts) {
		w.t.Errorf("below advisories: %q, want %q", got, texts)
	}
}

func (w *world) verdict(version string) string {
	w.t.Helper()
	c, err := w.CheckVersion(w.t.Context(), version)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Verdict + " " + c.Reason
}

func TestReport(t *testing.T) {
	w := newWorld(t, "report")
	w.publish(repodata, 1000, []string{"tool 1-3", "absent 1-1"}, "tool 1-2", "absent 1-1", "tool 1-9")
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-2")
	st, err := w.AdvisoryStatus(t.Context())
	if err != nil || st.Mode != "report" || st.Packages != 1 || len(st.Origins) != 1 || st.Severity[0] != (api.SeverityCount{Severity: "Important", Packages: 1}) {
		t.Errorf("%+v, %v", st, err)
	}
	if o := st.Origins[0]; o.Repository != "updates" || o.Strength != "unsigned, from dnf's cache" || len(o.Keys) != 1 || o.Security != 1 || o.Floors != 1 || o.Beyond != 1 ||
		!o.Made.Equal(time.Unix(1000, 0)) || !o.Read.Equal(w.now) {
		t.Errorf("%+v", o)
	}
	if p := w.Problem("below-advisories"); p.Severity != api.SeverityNotice || !strings.Contains(p.Text, "tool-1-1") || !strings.Contains(p.Advice, "dnf upgrade --security") {
		t.Errorf("%+v", p)
	}
	if got := w.verdict("tool-0.9-1.noarch"); got != "refused rollback" {
		t.Errorf("only reported, and %s", got)
	}
	why, err := w.AdvisoriesWhy(t.Context(), "tool.noarch")
	if err != nil || len(why.Versions) != 1 || why.Versions[0].Effect != "it is reported" || len(why.Installed) != 1 || why.Mend == "" {
		t.Errorf("%+v, %v", why, err)
	}
	if _, err := w.AdvisoriesWhy(t.Context(), "absent"); daemontest.Code(err) != api.NotFound {
		t.Error(err)
	}
	if n := len(w.Events(t, audit.KindAdvised)); n != 1 {
		t.Errorf("%d events", n)
	}
	// A package that came since is looked for.
	w.Install(t, build(t, "absent", "0-1"))
	w.Sync(t)
	w.apply(false)
	w.want("absent-0-1.noarch 0:1-1", "tool-1-1.noarch 0:1-2")
	// A fixed package is not reported any more.
	w.Erase(t, build(t, "tool", "1-1"), build(t, "absent", "0-1"))
	w.Install(t, build(t, "tool", "1-2"))
	w.Sync(t)
	w.apply(false)
	w.want()
	if p := w.Problem("below-advisories"); p.ID != "" {
		t.Errorf("%+v", p)
	}
}

func TestKeepOut(t *testing.T) {
	w := newWorld(t, "keep-out")
	w.publish(repodata, 1000, []string{"tool 1-3", "absent 2-1"}, "tool 1-2", "absent 2-1")
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-2")
	for version, want := range map[string]string{"tool-1-1.noarch": "allowed active", "tool-0-1.noarch": "refused below-advisory", "tool-1-2.noarch": "allowed ", "absent-2-1.noarch": "allowed "} {
		if got := w.verdict(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
	// A grant is above an advisory, also of what was never here.
	if _, err := w.RollbackGrant(t.Context(), daemontest.Root, "absent-1-1.noarch", "why"); err != nil {
		t.Error(err)
	}
	if _, err := w.RollbackGrant(t.Context(), daemontest.Root, "absent-2-1.noarch", "why"); daemontest.Code(err) != api.InvalidArgument {
		t.Errorf("what is mended is granted: %v", err)
	}
	if got := w.verdict("absent-1-1.noarch"); got != "allowed granted" {
		t.Error(got)
	}
	// It raises, and never lowers.
	w.publish(repodata, 1001, []string{"tool 1-3"}, "tool 1-1.5")
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-2")
	w.publish(repodata, 1002, []string{"tool 1-3"}, "tool 1-3")
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-3")
	// It is there after a start.
	w.Stop()
	w.Start(t)
	w.Sync(t)
	w.want("tool-1-1.noarch 0:1-3")
	w.apply(false)
	if n := len(w.Events(t, audit.KindAdvised)); n != 2 {
		t.Errorf("%d events: what has not changed was read again", n)
	}
	// It is forgotten, once.
	if err := w.AdvisoriesForget(t.Context(), daemontest.Root, "updates", "why"); err != nil {
		t.Fatal(err)
	}
	w.apply(false)
	w.want()
	if got := w.verdict("tool-1-0.noarch"); got != "refused rollback" {
		t.Error(got)
	}
	if err := w.AdvisoriesForget(t.Context(), daemontest.Root, "strange", "why"); daemontest.Code(err) != api.NotFound {
		t.Error(err)
	}
	w.publish(repodata, 1003, []string{"tool 1-3"}, "tool 1-3")
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-3")
}

// Turned off, nothing that advisories said is left.
func TestOff(t *testing.T) {
	w := newWorld(t, "keep-out")
	w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
	w.apply(false)
	w.Stop()
	w.Config.Advisories = "off"
	w.Start(t)
	if err := w.Adviser.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want()
	if st, _ := w.AdvisoryStatus(t.Context()); len(st.Origins) != 0 {
		t.Errorf("%+v", st)
	}
}

// The limits of the advisories of a repository.
func TestBounds(t *testing.T) {
	for name, x := range map[string]struct {
		change func(w *world)
		left   bool
		says   string // of the problem
		want   []string
	}{
		"an epoch that nothing has": {func(w *world) { w.publish(repodata, 1000, []string{"tool 1:1-1"}, "tool 1:1-1") }, false, "", nil},
		"more than it offers":       {func(w *world) { w.publish(repodata, 1000, []string{"tool 1-1"}, "tool 99-1") }, false, "", nil},
		"no key of its own": {func(w *world) {
			w.publish(strings.ReplaceAll(repodata, "updates", "others"), 1000, []string{"tool 1-3"}, "tool 1-3")
		}, false, "", nil},
		"a file that is another one": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			w.File(w.t, repodata+"updateinfo.xml", "<updates/>")
		}, true, "updateinfo.xml", nil},
		"a link": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			os.Rename(w.Path(repodata+"updateinfo.xml"), w.Path("/elsewhere"))
			os.Symlink(w.Path("/elsewhere"), w.Path(repodata+"updateinfo.xml"))
		}, true, "updateinfo.xml", nil},
		"a directory of others": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			os.Chmod(w.Path(repodata), 0o777)
		}, true, "written by others", nil},
		"files of others": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			os.Chown(w.Path(repodata+"repomd.xml"), 1000, 1000)
		}, true, "belongs to user 1000", nil},
		"truncated": {func(w *world) { w.publish(repodata, 1000, nil); w.File(w.t, repodata+"repomd.xml", "<repomd><data>") }, true, "ends inside", nil},
		"a signature of nobody": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			w.File(w.t, repodata+"repomd.xml.asc", "nonsense")
		}, true, "signature", nil},
		"configuration of others": {func(w *world) {
			w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
			os.Chmod(w.Path("/etc/yum.repos.d/updates.repo"), 0o666)
		}, false, "", nil},
		"as it should be": {func(w *world) { w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2") }, false, "", []string{"tool-1-1.noarch 0:1-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "keep-out")
			x.change(w)
			w.apply(x.left)
			w.want(x.want...)
			if p := w.Problem("advisories"); !strings.Contains(p.Text, x.says) || (p.ID != "") != x.left {
				t.Errorf("%+v", p)
			}
			if x.left { // mended, it is read
				w.publish(repodata, 1001, []string{"tool 1-3"}, "tool 1-2")
				os.Remove(w.Path(repodata + "repomd.xml.asc"))
				os.Chmod(w.Path(repodata), 0o755)
				os.Chown(w.Path(repodata+"repomd.xml"), 0, 0)
				if info, err := os.Lstat(w.Path(repodata + "updateinfo.xml")); err == nil && info.Mode()&os.ModeSymlink != 0 {
					os.Remove(w.Path(repodata + "updateinfo.xml"))
					w.publish(repodata, 1002, []string{"tool 1-3"}, "tool 1-2")
				}
				w.apply(false)
				w.want("tool-1-1.noarch 0:1-2")
			}
		})
	}
}

// Metadata that goes back is reported, and what was said before stays.
func TestOlderMetadata(t *testing.T) {
	w := newWorld(t, "keep-out")
	w.publish(repodata, 2000, []string{"tool 1-3"}, "tool 1-3")
	w.apply(false)
	w.publish(repodata, 1000, []string{"tool 1-2"}, "tool 1-2")
	w.apply(true)
	w.want("tool-1-1.noarch 0:1-3")
	if p := w.Problem("advisories"); !strings.Contains(p.Text, "older than what was read before") {
		t.Errorf("%+v", p)
	}
}

// digestd reads a zchunk file of dnf if the plain file is not on this disk.
func TestZchunk(t *testing.T) {
	w := newWorld(t, "keep-out")
	w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
	plain := w.Path(repodata + "updateinfo.xml")
	if out, err := exec.Command("zck", "-o", plain+".zck", plain).CombinedOutput(); err != nil {
		t.Fatalf("zck (integration/setup.sh test installs it): %v\n%s", err, out)
	}
	if err := os.Remove(plain); err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(plain + ".zck")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(packed)
	repomd, err := os.ReadFile(w.Path(repodata + "repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	entry := fmt.Sprintf(`<data type="updateinfo_zck"><checksum type="sha256">%x</checksum><location href="repodata/updateinfo.xml.zck"/><size>%d</size></data></repomd>`, sum, len(packed))
	w.File(t, repodata+"repomd.xml", strings.ReplaceAll(string(repomd), "</repomd>", entry))
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-2")
}

// sign signs repomd.xml as a repository does.
func (w *world) sign(k *pkgtest.Key) {
	w.t.Helper()
	data, err := os.ReadFile(w.Path(repodata + "repomd.xml"))
	if err != nil {
		w.t.Fatal(err)
	}
	sig, err := k.Sign(data)
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	a, err := armor.Encode(&out, "PGP SIGNATURE", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Write(sig)
	a.Close()
	w.File(w.t, repodata+"repomd.xml.asc", out.String())
}

// A signature of the metadata makes its word stronger, and its key binds.
func TestSigned(t *testing.T) {
	w := newWorld(t, "keep-out")
	if err := os.RemoveAll(w.Path("/etc/yum.repos.d")); err != nil {
		t.Fatal(err)
	}
	vendor := daemontest.Key(t, "vendor")
	w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
	w.sign(vendor)
	w.apply(false)
	w.want("tool-1-1.noarch 0:1-2")
	st, _ := w.AdvisoryStatus(t.Context())
	if st.Origins[0].Strength != "signed by "+vendor.Fingerprint() {
		t.Errorf("%+v", st.Origins)
	}
	// By a key that is not trusted it is no stronger than a cache.
	w.publish(repodata, 1001, []string{"tool 1-3"}, "tool 1-3")
	w.sign(daemontest.Key(t, "stranger"))
	w.apply(false)
	if st, _ := w.AdvisoryStatus(t.Context()); st.Origins[0].Strength != "unsigned, from dnf's cache" || len(st.Origins[0].Keys) != 0 {
		t.Errorf("%+v", st.Origins)
	}
	w.want()
	// One of other data is refused.
	w.sign(vendor)
	data, _ := os.ReadFile(w.Path(repodata + "repomd.xml.asc"))
	w.publish(repodata, 1002, []string{"tool 1-3"}, "tool 1-3")
	w.File(t, repodata+"repomd.xml.asc", string(data))
	w.apply(true)
	if p := w.Problem("advisories"); !strings.Contains(p.Text, "signature that is not valid") {
		t.Errorf("%+v", p)
	}
}

func protectNone(c *config.Config) { c.AdvisoriesProtect = []string{"kept*"} }

// TestClockIsSet: a list has its days of grace, although the clock was wrong when the advisory
// was learned: on a machine without a clock of its own until the network tells the time, or
// by years.
func TestClockIsSet(t *testing.T) {
	due := func(w *world) time.Time {
		t.Helper()
		for _, e := range w.Snapshot().Entries {
			if e.Package.Name == "tool" {
				return e.Due
			}
		}
		t.Fatal("tool has no list")
		return time.Time{}
	}
	const grace = 14 * 24 * time.Hour
	for what, c := range map[string]struct {
		set     time.Duration
		running bool // digestd is, and sees that the clock is set
	}{
		"forward":                    {60 * 24 * time.Hour, true},
		"back":                       {-20 * 24 * time.Hour, true},
		"back while it does not run": {-20 * 24 * time.Hour, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, "withdraw", protectNone)
			step := time.Duration(0)
			stepped := func(time.Time) time.Duration {
				by := step
				step = 0
				return by
			}
			w.Adviser.Stepped = stepped
			w.publish(repodata, 1000, []string{"tool 1-2"}, "tool 1-2")
			w.apply(false)
			before := w.Names(t)
			if got := due(w); !got.Equal(w.now.Add(grace)) {
				t.Fatalf("due on %v", got)
			}
			if c.running {
				step = c.set
			} else {
				w.Stop()
			}
			w.now = w.now.Add(c.set)
			if !c.running {
				w.Start(t)
				w.Adviser.Stepped = stepped
				w.Sync(t)
			}
			w.apply(false)
			if got := w.Names(t); !slices.Equal(got, before) {
				t.Errorf("withdrawn as the clock was set: %v", got)
			}
			if got := due(w); !got.Equal(w.now.Add(grace)) {
				t.Errorf("due on %v, %v is the time", got, w.now)
			}
			w.now = w.now.Add(grace)
			w.apply(false)
			if got := w.Names(t); len(got) != len(before)-1 {
				t.Errorf("on the day: %v", got)
			}
		})
	}
}

func TestWithdraw(t *testing.T) {
	w := newWorld(t, "withdraw", protectNone)
	needed := filepath.Join("/usr/bin", "rpm")
	w.File(t, needed, "a program")
	w.Install(t, build(t, "kept", "1-1"), build(t, "needs", "1-1", needed), build(t, "other", "1-1"))
	w.Sync(t)
	all := []string{"tool 1-2", "kept 1-2", "needs 1-2"}
	w.publish(repodata, 1000, all, all...)
	w.apply(false)
	before := w.Names(t)
	due := w.Events(t, audit.KindAdvisoryDue)
	if len(due) != 1 || !strings.Contains(due[0].Package, "tool-0:1-1") || !strings.Contains(due[0].Text, "2026-03-15") {
		t.Errorf("announced: %+v", due)
	}
	st, _ := w.AdvisoryStatus(t.Context())
	if st.Due != 1 || st.Packages != 3 || st.Gone != 0 {
		t.Errorf("%+v", st)
	}
	for name, want := range map[string]string{"kept": "advisories-protect has kept*", "needs": "/usr/bin/rpm: rpm is needed"} {
		why, err := w.AdvisoriesWhy(t.Context(), name)
		if err != nil || len(why.Stays) != 1 || !strings.Contains(why.Stays[0], want) {
			t.Errorf("%s: %+v, %v", name, why.Stays, err)
		}
	}
	w.now = w.now.Add(14*24*time.Hour - time.Minute)
	w.apply(false)
	if got := w.Names(t); !slices.Equal(got, before) {
		t.Errorf("before the day: %v", got)
	}
	w.now = w.now.Add(time.Minute)
	w.apply(false)
	want := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return strings.Contains(n, "tool") })
	if got := w.Names(t); !slices.Equal(got, want) || len(want) != len(before)-1 {
		t.Errorf("on the day: %v, want %v", got, want)
	}
	if gone := w.Events(t, audit.KindWithdrawn); len(gone) != 1 || gone[0].Reason != "below-advisory" {
		t.Errorf("%+v", gone)
	}
	if st, _ := w.AdvisoryStatus(t.Context()); st.Gone != 1 || st.Due != 0 {
		t.Errorf("%+v", st)
	}
	// It does not come back by a comparison or a start, but when the advisory is forgotten.
	w.Sync(t)
	w.Stop()
	w.Start(t)
	w.Sync(t)
	if got := w.Names(t); !slices.Equal(got, want) {
		t.Errorf("after a start: %v", got)
	}
	if err := w.AdvisoriesForget(t.Context(), daemontest.Root, "updates", "why"); err != nil {
		t.Fatal(err)
	}
	w.Sync(t)
	if got := w.Names(t); !slices.Equal(got, before) {
		t.Errorf("forgotten: %v, want %v", got, before)
	}
}

// Few lists go on one day: what is more waits, and somebody is told.
func TestWithdrawFew(t *testing.T) {
	w := newWorld(t, "withdraw", protectNone)
	var packages []gendb.Small
	var mended []string
	for i := range 60 {
		name := fmt.Sprintf("p%d", i)
		packages = append(packages, build(t, name, "1-1"))
		mended = append(mended, name+" 1-2")
	}
	w.Install(t, packages...)
	w.Sync(t)
	w.publish(repodata, 1000, mended, mended...)
	w.apply(false)
	before := len(w.Names(t))
	w.now = w.now.Add(15 * 24 * time.Hour)
	w.apply(false)
	w.apply(false)
	if gone := before - len(w.Names(t)); gone != 3 { // 5 % of 61
		t.Errorf("%d lists went", gone)
	}
	if p := w.Problem("advisories-due"); !strings.Contains(p.Text, "at most") {
		t.Errorf("%+v", p)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.apply(false)
	if gone := before - len(w.Names(t)); gone < 5 || gone > 6 {
		t.Errorf("on the next day %d lists were gone", gone)
	}
}

// A refresh is noticed by itself.
func TestWatch(t *testing.T) {
	w := newWorld(t, "report")
	w.Adviser.Settle = 10 * time.Millisecond
	stop := daemontest.Loop(t, w.Adviser.Run)
	defer stop()
	await := func() {
		t.Helper()
		select {
		case <-w.Adviser.Settled:
		case <-time.After(time.Minute):
			t.Fatal("it does not look")
		}
	}
	await()
	w.publish(repodata, 1000, []string{"tool 1-3"}, "tool 1-2")
	daemontest.Await(t, "the advisory is applied", func() bool { return len(w.advised()) == 1 })
	w.publish(repodata, 1001, []string{"tool 1-3"}, "tool 1-3")
	daemontest.Await(t, "the next one is applied", func() bool { return slices.Equal(w.advised(), []string{"tool-1-1.noarch 0:1-3"}) })
	w.Adviser.Changed <- struct{}{}
	await()
}
