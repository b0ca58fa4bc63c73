// SPDX-License-Identifier: Apache-2.0

package manage_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/manage"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
)

func TestMain(m *testing.M) { daemontest.Main(m) }

// managed is a daemon whose owner asks it about a guard in memory, which follows its lists.
type managed struct {
	*daemontest.Machine
	t       *testing.T
	kernel  *guardtest.Memory
	denials protocol.Log
	owner   api.Actor
}

func manageGuard(t *testing.T) *managed {
	t.Helper()
	needs.Root(t) // whose files are learned
	m := &managed{Machine: daemontest.New(t, func(c *config.Config) { c.Guard = "audit" }), t: t, kernel: guardtest.NewMemory(),
		owner: api.Actor{UID: 0, PID: 7, Unit: "session-1.scope", Sender: ":1.7"}}
	dir, err := os.MkdirTemp("", "digestd-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	stop, err := guardtest.Serve(socket, m.kernel, protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce}, &m.denials, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	m.Rooms.Guard.Socket, m.Manager.Setup.Socket = socket, socket
	m.Manager.Setup.Look = func(ctx context.Context, path string, algos ...digestlist.Algo) (look.File, error) {
		return look.At(ctx, m.Root, path, algos...)
	}
	if !m.Rooms.Guard.Agree(t.Context()) {
		t.Fatal("the guard was not told of the lists")
	}
	return m
}

// manage has another guard asked, or none.
func (m *managed) manage(wanted, socket string) {
	s := m.Manager.Setup
	s.Wanted, s.Socket = wanted, socket
	m.Manager = manage.New(s)
}

// install installs a package with one file of that content, called after it.
func (m *managed) install(name, content string) {
	m.t.Helper()
	m.Install(m.t, daemontest.Package(m.t, name, "", map[string]string{"/opt/" + content: content}))
	m.Sync(m.t)
}

// put writes a file below the root, and returns its digest.
func (m *managed) put(path, content string, mode os.FileMode) guard.Digest {
	m.t.Helper()
	file := filepath.Join(m.Config.Root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755), os.Chmod(file, mode)); err != nil {
		m.t.Fatal(err)
	}
	return sha256.Sum256([]byte(content))
}

// refuse has the guard refuse a content at a path.
func (m *managed) refuse(path string, digest guard.Digest) string {
	m.denials.Add(&guard.Event{Act: guard.Execute, Reason: guard.Unlisted, Digest: &digest, Path: path,
		Process: guard.Process{PID: 9, UID: 1000, Command: "sh"}}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "")
	all := m.denials.Denials().All
	return all[slices.IndexFunc(all, func(d protocol.Denial) bool { return d.Path == path })].Digest
}

func (m *managed) learn(digests ...string) (api.OwnResult, error) {
	return m.GuardLearn(m.t.Context(), m.owner, "learned", digests, "for a test", func(string, int, int) {})
}

// A file that only root can write is learned, and runs from then on; the log names the user.
func TestGuardLearns(t *testing.T) {
	m := manageGuard(t)
	tool, other := m.put("/opt/tool", "a tool", 0o755), m.put("/opt/other", "another", 0o755)
	digest := m.refuse("/opt/tool", tool)
	r, err := m.learn(digest)
	if err != nil || r.Files != 1 || m.kernel.Lists[tool] != 1 {
		t.Fatalf("%+v, %v; the guard has %v", r, err, m.kernel.Lists)
	}
	// The second joins the first.
	if r, err = m.learn(m.refuse("/opt/other", other)); err != nil || r.Files != 2 || m.kernel.Lists[tool] != 1 || m.kernel.Lists[other] != 1 {
		t.Fatalf("%+v, %v; the guard has %v", r, err, m.kernel.Lists)
	}
	own, err := m.Daemon.Own(t.Context(), "learned")
	if err != nil || !own.Listed || own.Version != 2 {
		t.Errorf("%+v, %v", own, err)
	}
	if _, err := m.learn(digest); daemontest.Code(err) != api.Unchanged {
		t.Errorf("learned twice: %v", err)
	}
	// A new content of a path takes the place of the old one.
	again := m.put("/opt/tool", "a newer tool", 0o755)
	m.refuse("/opt/tool", again)
	if r, err = m.learn(digestText(again)); err != nil || r.Files != 2 || m.kernel.Lists[again] != 1 || m.kernel.Lists[tool] != 0 {
		t.Errorf("%+v, %v; the guard has %v", r, err, m.kernel.Lists)
	}
	events, _, err := m.Daemon.Log(t.Context(), api.LogFilter{Kind: audit.KindGuardLearned}, 0, 10)
	if err != nil || len(events) != 3 || events[0].Package != "own:learned" || events[0].Actor.PID != 7 || !strings.Contains(events[0].Text, "for a test") {
		t.Errorf("the log has %+v, %v", events, err)
	}
}

func digestText(d guard.Digest) string { return hex.EncodeToString(d[:]) }

// A file that others could have put there is not learned, nor one about which there is a
// decision, nor one that has changed; and then no file of the request is.
func TestGuardLearnsNothingElse(t *testing.T) {
	m := manageGuard(t)
	good := m.refuse("/opt/good", m.put("/opt/good", "good", 0o755))
	m.install("hello", "packaged")
	// A package and an own list have a path.
	m.install("shared", "shared")
	if _, err := m.learn(m.refuse("/opt/mine", m.put("/opt/mine", "mine", 0o755))); err != nil {
		t.Fatal(err)
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: make([]byte, 32), Path: "/opt/shared"}}}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := m.OwnAppend(t.Context(), m.owner, 0, body)
	if err == nil {
		_, err = m.OwnPublish(t.Context(), m.owner, api.OwnRequest{Name: "other", Upload: id}, func(string, int, int) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	denied := m.put("/srv/denied", "denied", 0o755)
	if _, err := m.Deny(t.Context(), m.owner, "sha256:"+digestText(denied), "/srv/denied", "why", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		digest string
		why    string
		change func(root string) error
	}{
		"written by everybody":  {m.refuse("/srv/a", m.put("/srv/a", "a", 0o777)), "everybody can write to it", nil},
		"written by its group":  {m.refuse("/srv/b", m.put("/srv/b", "b", 0o775)), "its group can write to it", nil},
		"of a user":             {m.refuse("/srv/c", m.put("/srv/c", "c", 0o755)), "user 1000 can write to it", func(root string) error { return os.Chown(root+"/srv/c", 1000, 0) }},
		"in a user's directory": {m.refuse("/home/u/d", m.put("/home/u/d", "d", 0o755)), "user 1000 can write to /home/u", func(root string) error { return os.Chown(root+"/home/u", 1000, 0) }},
		"in a shared directory": {m.refuse("/tmp/x/e", m.put("/tmp/x/e", "e", 0o755)), "everybody can write to /tmp", func(root string) error { return os.Chmod(root+"/tmp", 0o777|os.ModeSticky) }},
		"through a link": {m.refuse("/link/good", m.put("/opt/linked", "linked", 0o755)), "its path contains a symbolic link",
			func(root string) error { return os.Symlink("opt", root+"/link") }},
		"gone":                  {m.refuse("/srv/f", m.put("/srv/f", "f", 0o755)), "the file no longer exists", func(root string) error { return os.Remove(root + "/srv/f") }},
		"changed":               {m.refuse("/srv/g", m.put("/srv/g", "g", 0o755)), "has changed since", func(root string) error { return os.WriteFile(root+"/srv/g", []byte("x"), 0o755) }},
		"exchanged for a pipe":  {m.refuse("/srv/h", m.put("/srv/h", "h", 0o755)), "cannot find it", func(root string) error { os.Remove(root + "/srv/h"); return os.Mkdir(root+"/srv/h", 0o755) }},
		"without a path":        {m.refuse("memfd:x", sha256.Sum256([]byte("i"))), "its path is unknown", nil},
		"of a package, altered": {m.refuse("/opt/packaged", m.put("/opt/packaged", "malware", 0o755)), "altered since hello", nil},
		"of both":               {m.refuse("/opt/shared", m.put("/opt/shared", "others", 0o755)), "altered since", nil},
		"denied":                {m.refuse("/srv/denied", denied), "denied", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				if err := c.change(m.Config.Root); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.learn(good, c.digest); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want: %s", err, c.why)
			}
		})
	}
	if _, err := m.learn(strings.Repeat("ab", 32)); daemontest.Code(err) != api.NotFound {
		t.Errorf("what was never refused: %v", err)
	}
	if own := m.Snapshot().Own["learned"]; own.Version != 1 || m.kernel.Lists[sha256.Sum256([]byte("good"))] != 0 {
		t.Errorf("own lists are %v", m.Snapshot().Own)
	}
	page, total, err := m.GuardCandidates(t.Context(), 0, 100)
	if err != nil || total != 14 || len(page) != 14 {
		t.Fatalf("%d of %d candidates, %v", len(page), total, err)
	}
	for _, c := range page {
		// The description does not look at the content of the file.
		if want := c.Denial.Path == "/opt/good" || c.Denial.Path == "/srv/g"; c.Learnable != want {
			t.Errorf("%s may be learned: %v, %s", c.Denial.Path, c.Learnable, c.Text)
		}
		if c.Denial.Path == "/srv/c" && (c.UID != 1000 || c.Mode != 0o755 || !c.Exists) {
			t.Errorf("%+v", c)
		}
	}
}

// Each denial has the reason that lists give now.
func TestGuardDenialsHaveReasons(t *testing.T) {
	m := manageGuard(t)
	m.install("hello", "packaged")
	clear(m.kernel.Lists)
	m.refuse("/opt/packaged", sha256.Sum256([]byte("malware")))
	m.refuse("/srv/copy", sha256.Sum256([]byte("packaged")))
	m.refuse("/srv/x", sha256.Sum256([]byte("x")))
	m.denials.Add(&guard.Event{Act: guard.Protect, Reason: guard.Written, File: guard.FileID{Inode: 7}}, time.Now(), "")
	page, total, err := m.GuardDenials(t.Context(), 1, 100)
	if err != nil || total != 4 || len(page) != 3 {
		t.Fatalf("%d of %d, %v", len(page), total, err)
	}
	page, _, err = m.GuardDenials(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, d := range page {
		texts[d.Path] = d.Why.Verdict + ": " + d.Why.Text
	}
	for path, want := range map[string]string{
		"/opt/packaged": "altered: not vouched for: altered since hello", "/srv/x": "unknown: not vouched for: no list includes it",
		// The guard has lost what it heard.
		"/srv/copy": "vouched: the guard does not know yet that it is vouched for by hello", "": ": a process had it open for writing",
	} {
		if !strings.HasPrefix(texts[path], want) {
			t.Errorf("%q: %s, want %s", path, texts[path], want)
		}
		digest := sha256.Sum256([]byte("malware"))
		if path == "/opt/packaged" {
			why, err := m.WhyContent(t.Context(), path, api.Content{Found: true, SHA256: digest[:]})
			if err != nil || !strings.HasSuffix(texts[path], why.Text) {
				t.Errorf("why says %q, %v", why.Text, err)
			}
		}
	}
}

// TestGuardExempt: an exemption is recorded with the caller who asked for it; what others than root
// fill needs force and a reason.
func TestGuardExempt(t *testing.T) {
	m := manageGuard(t)
	other := api.Actor{UID: 1000, PID: 7, Unit: strings.Repeat("x", 300)}
	for _, c := range []struct {
		req  api.GuardExemptRequest
		want string
	}{
		{api.GuardExemptRequest{Group: "user.slice"}, "has processes of users"},
		{api.GuardExemptRequest{Group: "user.slice", Force: true}, "needs a reason"},
		{api.GuardExemptRequest{Group: "user.slice", Force: true, Reason: "a\nb"}, "not to be printed"},
		{api.GuardExemptRequest{Group: "user.slice", Force: true, End: true, Reason: "a"}, "needs no force"},
		{api.GuardExemptRequest{Group: strings.Repeat("x", 600)}, "more than 512"},
	} {
		if g, err := m.GuardExempt(t.Context(), other, c.req); err == nil || !strings.Contains(err.Error(), c.want) || len(g.Exempt) > 0 {
			t.Errorf("%+v: %v, want %q", c.req, err, c.want)
		}
	}
	g, err := m.GuardExempt(t.Context(), other, api.GuardExemptRequest{Group: "user.slice", Force: true, Reason: "I know"})
	if err != nil || len(g.Exempt) != 1 || g.Exempt[0].Forced != "I know" {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err = m.GuardExempt(t.Context(), m.owner, api.GuardExemptRequest{Group: "user.slice", End: true}); err != nil || len(g.Exempt) != 0 {
		t.Errorf("%+v, %v", g, err)
	}
	events, _, err := m.Daemon.Log(t.Context(), api.LogFilter{Kind: audit.KindGuardExempted}, 0, 10)
	if err != nil || len(events) != 2 || events[1].Reason != "force" || events[1].Text != "user.slice: I know" || events[1].Actor.UID != 1000 || events[0].Reason != "end" {
		t.Errorf("%+v, %v", events, err)
	}
}

// A mode takes effect and is recorded with its caller, but never so that its owner is locked out.
func TestGuardSwitch(t *testing.T) {
	m := manageGuard(t)
	other := api.Actor{UID: 1000, PID: 8, Unit: "session-2.scope"}
	for name, c := range map[string]struct {
		by   api.Actor
		req  api.GuardRequest
		want string
	}{
		"no mode":             {m.owner, api.GuardRequest{Mode: "strict"}, "is none of"},
		"a trial of audit":    {m.owner, api.GuardRequest{Mode: "audit", Trial: time.Minute}, "has no meaning"},
		"no trial":            {other, api.GuardRequest{Mode: "enforce"}, "must begin with a trial"},
		"checked by others":   {other, api.GuardRequest{Mode: "enforce", Checked: true}, "must begin with a trial"},
		"forced for nothing":  {other, api.GuardRequest{Mode: "enforce", Force: true}, "needs a reason"},
		"nothing to confirm":  {m.owner, api.GuardRequest{Mode: "enforce", Confirm: true}, "no trial"},
		"would lock one out":  {other, api.GuardRequest{Mode: "enforce", Trial: time.Minute}, "the guard would refuse"},
		"an end before it is": {other, api.GuardRequest{Mode: "enforce", Trial: -1}, "a trial cannot last"},
	} {
		if _, err := m.GuardSwitch(t.Context(), c.by, c.req); err == nil || !strings.Contains(err.Error(), c.want) || m.kernel.Is.Mode != guard.Audit {
			t.Errorf("%s: %v, want %s; mode %v", name, err, c.want, m.kernel.Is.Mode)
		}
	}
	g, err := m.GuardSwitch(t.Context(), other, api.GuardRequest{Mode: "enforce", Trial: time.Minute, Force: true, Reason: "I know"})
	if err != nil || g.Mode != "enforce" || g.Trial != time.Minute {
		t.Fatalf("%+v, %v", g, err)
	}
	if g, err = m.GuardSwitch(t.Context(), other, api.GuardRequest{Mode: "enforce", Confirm: true}); err != nil || g.Mode != "enforce" || g.Trial != 0 {
		t.Errorf("confirmed: %+v, %v", g, err)
	}
	if _, err = m.GuardSwitch(t.Context(), m.owner, api.GuardRequest{Mode: "off"}); err != nil {
		t.Error(err)
	}
	if m.Recent().Mode != "off" {
		t.Errorf("those who watch see %+v", m.Recent())
	}
	events, _, err := m.Daemon.Log(t.Context(), api.LogFilter{Kind: audit.KindGuardSwitched}, 0, 10)
	if err != nil || len(events) != 3 {
		t.Fatalf("the log has %+v, %v", events, err)
	}
	for i, want := range []struct {
		reason, text string
		uid          uint32
	}{{"off", "", 0}, {"enforce", "the trial was confirmed", 1000}, {"enforce", "for 1m0s: I know", 1000}} {
		if e := events[i]; e.Reason != want.reason || e.Text != want.text || e.Actor.UID != want.uid || e.Actor.Unit == "" {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

// why says what the guard would do with a content now, and that nobody knows where it does not
// answer; it waits for nobody long.
func TestGuardJudges(t *testing.T) {
	m := manageGuard(t)
	listed, other := sha256.Sum256([]byte("listed")), sha256.Sum256([]byte("other"))
	m.kernel.Lists[listed] = 1
	judged := func(digest [32]byte) string {
		w := api.Why{Digest: digestText(digest)}
		m.Judge(t.Context(), &w)
		return w.Guard.Mode + ": " + w.Guard.Text
	}
	for _, c := range []struct {
		mode   guard.Mode
		digest [32]byte
		want   string
	}{{guard.Enforce, listed, "enforce: allows it"}, {guard.Enforce, other, "enforce: refuses it"}, {guard.Off, other, "off: is off and allows it"},
		{guard.Audit, other, "audit: allows it in mode audit, and would refuse it in mode enforce"}} {
		m.kernel.Is.Mode = c.mode
		if got := judged(c.digest); got != c.want {
			t.Errorf("%v: %s, want %s", c.mode, got, c.want)
		}
	}
	m.manage("audit", m.Rooms.Guard.Socket+".gone")
	if got := judged(other); !strings.HasPrefix(got, "unknown: digestd-guard does not answer") {
		t.Error(got)
	}
	if g, err := m.Daemon.Guard(t.Context()); daemontest.Code(err) != api.Failed || g.Mode != api.GuardUnknown {
		t.Errorf("%+v, %v", g, err)
	}
	m.manage("off", m.Rooms.Guard.Socket)
	if got := judged(other); got != ": " {
		t.Errorf("with the guard off: %s", got)
	}
	if g, err := m.Daemon.Guard(t.Context()); err != nil || g.Mode != "off" {
		t.Errorf("%+v, %v", g, err)
	}
	if _, _, err := m.GuardDenials(t.Context(), 0, 1); daemontest.Code(err) != api.NotFound {
		t.Error(err)
	}
}
