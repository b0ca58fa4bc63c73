// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/anchor"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
	"github.com/digestd/digestd/policy"
)

func TestMain(m *testing.M) { daemontest.Main(m) }

// machine is one with a TPM.
type machine struct {
	*daemontest.Machine
	chip *tokentest.TPM
	dir  string // of the anchor's secret
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{chip: tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm")), dir: t.TempDir()}
	m.Machine = daemontest.New(t, func(c *config.Config) {
		c.Anchor, c.AnchorSecret = m.chip.Where(), filepath.Join(m.dir, "anchor.secret")
	})
	return m
}

// enabled returns a machine whose anchor is enabled.
func enabled(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	if s, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test"); err != nil || s.Standing != api.AnchorDone || !s.Bound {
		t.Fatalf("%+v, %v", s, err)
	}
	return m
}

func (m *machine) again(t *testing.T) {
	t.Helper()
	m.Stop()
	m.Start(t)
}

// pass anchors what is due.
func (m *machine) pass(t *testing.T) {
	t.Helper()
	if err := m.Anchor.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) standing(t *testing.T, want string) api.Anchor {
	t.Helper()
	s := m.AnchorStatus()
	if s.Standing != want {
		t.Fatalf("the anchor is %+v, want %s", s, want)
	}
	return s
}

// problem returns the problem of that ID, and whether there is one.
func (m *machine) problem(id string) (api.Problem, bool) {
	all := m.Snapshot().Problems
	i := slices.IndexFunc(all, func(p api.Problem) bool { return p.ID == id })
	if i < 0 {
		return api.Problem{}, false
	}
	return all[i], true
}

// copies of directories and files, by which a test puts an old state back.
func (m *machine) save(t *testing.T, paths ...string) (restore func()) {
	t.Helper()
	kept := t.TempDir()
	for i, p := range paths {
		copyTo(t, p, filepath.Join(kept, string(rune('a'+i))))
	}
	return func() {
		t.Helper()
		m.Stop()
		for i, p := range paths {
			if err := os.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
			copyTo(t, filepath.Join(kept, string(rune('a'+i))), p)
		}
		m.Start(t)
	}
}

// copyTo copies a folder with its modes.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// version is a package of which there are several.
func version(t *testing.T, v string) gendb.Small {
	t.Helper()
	p := daemontest.Package(t, "tool", "", map[string]string{"/usr/bin/tool": "tool " + v})
	p.NEVRA.EVR.Version = v
	return p
}

// upgrade has rpm's database say that a package was replaced by another.
func (m *machine) upgrade(t *testing.T, from, to gendb.Small) {
	t.Helper()
	m.Erase(t, from)
	m.Install(t, to)
	m.Sync(t)
}

func (m *machine) deny(t *testing.T, what string) {
	t.Helper()
	if _, err := m.Admin.Deny(t.Context(), daemontest.Root, what, "", "test", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestEnable(t *testing.T) {
	m := newMachine(t)
	if s := m.AnchorStatus(); s.Standing != api.AnchorNone || s.Bound {
		t.Errorf("before: %+v", s)
	}
	if err := m.Anchor.Pass(t.Context()); err == nil {
		t.Error("an anchor that is not enabled was used")
	}
	if p, found := m.problem("anchor"); !found || !strings.Contains(p.Advice, "digestctl anchor enable") {
		t.Errorf("not enabled, and the problem is %+v", p)
	}
	s, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test")
	if err != nil || s.Standing != api.AnchorDone || s.Epoch != s.Value || s.Value == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if p, found := m.problem("anchor"); found {
		t.Errorf("enabled, and there is a problem: %+v", p)
	}
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test"); code(err) != api.Unchanged {
		t.Errorf("enabled twice: %v", err)
	}
	info, err := os.Stat(m.Config.AnchorSecret)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info, err)
	}
	m.again(t)
	m.pass(t)
	if again := m.standing(t, api.AnchorDone); again.Value != s.Value || again.Counter != s.Counter {
		t.Errorf("after a restart %+v, before %+v", again, s)
	}
	if _, err := m.AnchorDisable(t.Context(), daemontest.Root, "", false, "test"); err != nil {
		t.Fatal(err)
	}
	m.standing(t, api.AnchorNone)
	if left, err := os.ReadDir(m.dir); err != nil || len(left) > 0 {
		t.Errorf("disabled, and %v is left, %v", left, err)
	}
	if _, err := m.AnchorDisable(t.Context(), daemontest.Root, "", false, "test"); code(err) != api.Unchanged {
		t.Errorf("disabled twice: %v", err)
	}
	again, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test")
	if err != nil || again.Value <= s.Value || again.Counter == s.Counter {
		t.Errorf("enabled again: %+v after %+v, %v", again, s, err)
	}
}

func TestOff(t *testing.T) {
	m := daemontest.New(t)
	if s := m.AnchorStatus(); s.Where != "off" || s.Standing != api.AnchorNone {
		t.Errorf("%+v", s)
	}
	m.Anchor.Begin(t.Context())
	if err := m.Anchor.Pass(t.Context()); err != nil {
		t.Error(err)
	}
	if how := m.Anchor.Settled(t.Context()); how != api.AnchorNone {
		t.Errorf("settled: %s", how)
	}
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test"); err == nil {
		t.Error("enabled although the configuration says off")
	}
	// A doubt from before does not outlive the anchor.
	m.Enter(t, func(l *ledger.Ledger) {
		l.CounterFound(policy.Epochs{Found: true, Name: "aa", Expected: "aa", Counter: 3})
	})
	m.Stop()
	m.Start(t)
	if p := m.Problem("anchor-older"); p.Text == "" {
		t.Error("the doubt did not outlive a restart")
	}
	for range 2 {
		m.Anchor.Begin(t.Context())
		if p := m.Problem("anchor-older"); p.Text != "" || m.Snapshot().Past.Doubt != policy.NoDoubt {
			t.Errorf("without an anchor, the index is in doubt: %+v", p)
		}
		m.Stop()
		m.Start(t)
	}
	m.Anchor.Last()
	if err := m.Anchor.Loop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEpochs: what must not be undone begins an epoch, and what does not need to does not.
func TestEpochs(t *testing.T) {
	m := enabled(t)
	one, two := version(t, "1"), version(t, "2")
	epoch := m.AnchorStatus().Epoch
	rises := func(what string, by uint64, urgent bool, do func()) {
		t.Helper()
		do()
		var wants bool
		m.Exec.Do(t.Context(), func() error {
			wants = m.Exec.State.Past.Urgent
			return nil
		})
		if wants != urgent {
			t.Errorf("%s: urgent %v", what, wants)
		}
		m.pass(t)
		s := m.standing(t, api.AnchorDone)
		if s.Epoch != epoch+by || s.Value != s.Epoch {
			t.Errorf("%s: epoch %d and counter %d after %d", what, s.Epoch, s.Value, epoch)
		}
		epoch = s.Epoch
	}
	ctx := t.Context()
	rises("nothing", 0, false, func() {})
	rises("a first version", 1, false, func() { m.Install(t, one); m.Sync(t) })
	rises("a comparison without a change", 0, false, func() { m.Sync(t) })
	rises("a higher version", 1, false, func() { m.upgrade(t, one, two) })
	rises("a floor", 1, false, func() {
		if err := m.FloorSet(ctx, daemontest.Root, "tool", "2-1", "test"); err != nil {
			t.Fatal(err)
		}
	})
	rises("a denial", 1, true, func() { m.deny(t, "tool<1") })
	rises("a second denial of the same", 0, false, func() {
		m.Admin.Deny(ctx, daemontest.Root, "tool<1", "", "test", "", time.Time{})
	})
	rises("a revocation", 1, true, func() {
		if _, err := m.Admin.KeyRevoke(ctx, daemontest.Root, strings.Repeat("ab", 20), "test"); err != nil {
			t.Fatal(err)
		}
	})
	rises("several at once", 1, true, func() {
		for _, what := range []string{"a<1", "b<1", "c<1"} {
			m.deny(t, what)
		}
	})
	m.Config.Unsigned = "withhold"
	rises("another policy", 1, false, func() { m.again(t) })
}

// TestOlderState: a state directory from before is noticed. Active lists stay and newer
// versions come, older ones do not, not even by a grant, until an administrator accepts the
// state.
func TestOlderState(t *testing.T) {
	for _, what := range []string{"the state directory", "the state directory and the secret"} {
		t.Run(what, func(t *testing.T) {
			m := enabled(t)
			one, two, three := version(t, "1"), version(t, "2"), version(t, "3")
			m.Install(t, one)
			m.Sync(t)
			m.pass(t)
			if _, err := m.RollbackGrant(t.Context(), daemontest.Root, "tool-0:0-1.noarch", "test"); err != nil {
				t.Fatal(err)
			}
			m.pass(t)
			paths := []string{m.Config.State}
			if strings.HasSuffix(what, "secret") {
				paths = append(paths, m.dir)
			}
			restore := m.save(t, paths...)
			m.upgrade(t, one, two)
			m.pass(t)
			if err := m.FloorSet(t.Context(), daemontest.Root, "tool", "2-1", "test"); err != nil {
				t.Fatal(err)
			}
			m.pass(t)
			restore()

			m.Anchor.Begin(t.Context())
			m.standing(t, api.AnchorOlder)
			if p, found := m.problem("anchor-older"); !found || p.Severity != api.SeverityError || !strings.Contains(p.Advice, "digestctl anchor accept") {
				t.Errorf("the problem is %+v", p)
			}
			m.Sync(t)
			if names := m.Names(t); len(names) != 1 || !strings.Contains(names[0], "tool-0:2-1") {
				t.Errorf("what is installed has the lists %q", names)
			}
			refuse := func(p gendb.Small, want policy.Reason) {
				t.Helper()
				var d policy.Decision
				m.Exec.Do(t.Context(), func() error {
					d = m.Exec.State.AdmitIn(&state.Transaction{}, p.NEVRA, false)
					return nil
				})
				if d.Reason != want || (d.Verdict == policy.Veto) != (want != "") {
					t.Errorf("%s: %+v, want %q", p.NEVRA, d, want)
				}
				if want == policy.ReasonOlderState && !strings.Contains(d.Text, "digestctl anchor accept --reason") {
					t.Errorf("the refusal does not say how to go on: %s", d.Text)
				}
			}
			refuse(one, policy.ReasonOlderState)
			refuse(version(t, "0"), policy.ReasonOlderState) // which was granted
			refuse(three, "")
			if c, err := m.CheckVersion(t.Context(), one.NEVRA.String()); err != nil || c.Verdict == api.CheckAllowed {
				t.Errorf("digestctl check: %+v, %v", c, err)
			}
			// Decisions are taken and stay pending: there is no epoch for them.
			m.deny(t, "tool<1")
			if err := m.Anchor.Pass(t.Context()); err == nil {
				t.Error("an older state was anchored")
			}
			// The doubt outlives a start at which the TPM does not answer.
			m.Stop()
			m.chip.Stop()
			m.Start(t)
			refuse(one, policy.ReasonOlderState)
			if p, found := m.problem("anchor-older"); !found || !strings.Contains(p.Text, "is older than what was decided here") || !strings.Contains(p.Advice, "digestctl anchor accept") {
				t.Errorf("the problem is %+v", p)
			}
			m.chip.Start()
			m.Anchor.Begin(t.Context())
			m.standing(t, api.AnchorOlder)
			refuse(one, policy.ReasonOlderState)
			if got := m.Events(t, "anchor-doubt"); len(got) != 1 {
				t.Errorf("the doubt was recorded %d times", len(got))
			}
			if _, err := m.AnchorRebind(t.Context(), daemontest.Root, "", "test"); code(err) != api.InvalidArgument {
				t.Errorf("rebound: %v", err)
			}

			s, err := m.AnchorAccept(t.Context(), daemontest.Root, "it was me")
			if err != nil || s.Standing != api.AnchorDone || s.Epoch != s.Value {
				t.Fatalf("accepted: %+v, %v", s, err)
			}
			if _, found := m.problem("anchor-older"); found {
				t.Error("accepted, and the problem stays")
			}
			m.Sync(t)
			refuse(one, policy.ReasonRollback)
			refuse(version(t, "0"), policy.ReasonDenied)
			refuse(three, "")
			if _, err := m.AnchorAccept(t.Context(), daemontest.Root, "again"); code(err) != api.Unchanged {
				t.Errorf("accepted twice: %v", err)
			}
			m.again(t)
			refuse(three, "")
			if _, found := m.problem("anchor-older"); found {
				t.Error("accepted, and the problem is back after a restart")
			}
			// The state before the acceptance does not pass for the one after it.
			restore()
			m.Anchor.Begin(t.Context())
			m.standing(t, api.AnchorOlder)
		})
	}
}

// TestLostState: a state directory that is gone is as one that is older.
func TestLostState(t *testing.T) {
	m := enabled(t)
	m.Install(t, version(t, "2"))
	m.Sync(t)
	m.pass(t)
	m.Stop()
	if err := os.RemoveAll(m.Config.State); err != nil {
		t.Fatal(err)
	}
	m.Start(t)
	m.Anchor.Begin(t.Context())
	m.standing(t, api.AnchorOlder)
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "test"); code(err) != api.InvalidArgument {
		t.Errorf("enabled over a state that is lost: %v", err)
	}
	m.Sync(t)
	if s, err := m.AnchorAccept(t.Context(), daemontest.Root, "lost"); err != nil || s.Standing != api.AnchorDone {
		t.Errorf("%+v, %v", s, err)
	}
}

// copied is a machine with an anchor whose disk and TPM were copied. restore brings both
// back, and starts the TPM.
func copied(t *testing.T) (m *machine, restore func()) {
	t.Helper()
	chipDir := filepath.Join(t.TempDir(), "tpm")
	m = &machine{chip: tokentest.NewTPM(t, chipDir), dir: t.TempDir()}
	m.Machine = daemontest.New(t, func(c *config.Config) {
		c.Anchor, c.AnchorSecret = m.chip.Where(), filepath.Join(m.dir, "anchor.secret")
	})
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil {
		t.Fatal(err)
	}
	m.chip.Stop()
	back := m.save(t, m.Config.State, m.dir, chipDir)
	m.chip.Start()
	return m, func() {
		m.chip.Stop()
		back()
		m.chip.Start()
		m.Anchor.Begin(t.Context())
	}
}

// TestEverythingRestored: where the TPM's state comes back as well nothing can be told.
func TestEverythingRestored(t *testing.T) {
	m, restore := copied(t)
	m.deny(t, "tool<1")
	m.pass(t)
	restore()
	m.standing(t, api.AnchorDone)
}

// TestClearedAndOther: a TPM without the counter, or another TPM, asks for an administrator.
func TestClearedAndOther(t *testing.T) {
	for _, what := range []string{"cleared", "another TPM", "another TPM with a counter"} {
		t.Run(what, func(t *testing.T) {
			m := enabled(t)
			m.Install(t, version(t, "2"))
			m.Sync(t)
			m.pass(t)
			switch what {
			case "cleared":
				tpmtest.Do(t, m.chip.Socket, tpmtest.Clear)
			default:
				m.Stop()
				m.chip = tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
				m.Config.Anchor = m.chip.Where()
				if strings.HasSuffix(what, "counter") {
					tpmtest.Do(t, m.chip.Socket, func(c *tpm.Conn) error { return c.Define(nil, 0x0181d1e5, tpm.NewSecret(), tpm.NewSecret()) })
				}
				m.Start(t)
			}
			m.Anchor.Begin(t.Context())
			m.standing(t, api.AnchorOther)
			if p, found := m.problem("anchor-other"); !found || !strings.Contains(p.Advice, "digestctl anchor rebind") {
				t.Errorf("the problem is %+v", p)
			}
			if _, err := m.AnchorAccept(t.Context(), daemontest.Root, "test"); code(err) != api.InvalidArgument {
				t.Errorf("accepted: %v", err)
			}
			if strings.HasSuffix(what, "counter") {
				_, err := m.AnchorRebind(t.Context(), daemontest.Root, "", "test")
				if err == nil || !strings.Contains(advice(err), "index=") {
					t.Errorf("the index is in use: %v, %q", err, advice(err))
				}
				m.standing(t, api.AnchorOther)
				tpmtest.Do(t, m.chip.Socket, func(c *tpm.Conn) error { return c.Undefine(nil, 0x0181d1e5) })
			}
			if s, err := m.AnchorRebind(t.Context(), daemontest.Root, "", "moved"); err != nil || s.Standing != api.AnchorDone {
				t.Fatalf("%+v, %v", s, err)
			}
			if _, found := m.problem("anchor-other"); found {
				t.Error("rebound, and the problem stays")
			}
			m.again(t)
			m.Anchor.Begin(t.Context())
			m.standing(t, api.AnchorDone)
			if _, err := m.AnchorRebind(t.Context(), daemontest.Root, "", "test"); code(err) != api.Unchanged {
				t.Errorf("rebound twice: %v", err)
			}
		})
	}
}

// TestSecretLost: without its secret the counter is of no use, and is replaced.
func TestSecretLost(t *testing.T) {
	m := enabled(t)
	if err := os.Remove(m.Config.AnchorSecret); err != nil {
		t.Fatal(err)
	}
	m.again(t)
	m.Anchor.Begin(t.Context())
	m.standing(t, api.AnchorUnreachable)
	if p, found := m.problem("anchor"); !found || !strings.Contains(p.Advice, "digestctl anchor rebind") {
		t.Errorf("the problem is %+v", p)
	}
	if s, err := m.AnchorRebind(t.Context(), daemontest.Root, "", "lost"); err != nil || s.Standing != api.AnchorDone {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestUndone: enabling that fails leaves nothing behind.
func TestUndone(t *testing.T) {
	left := func(t *testing.T, m *machine) {
		t.Helper()
		if files, err := os.ReadDir(m.dir); err != nil || len(files) > 0 {
			t.Errorf("%v is left, %v", files, err)
		}
		m.standing(t, api.AnchorNone)
		m.again(t)
		m.standing(t, api.AnchorNone)
	}
	t.Run("no room", func(t *testing.T) {
		m := newMachine(t)
		tpmtest.Do(t, m.chip.Socket, tpmtest.Fill)
		_, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "")
		if !strings.Contains(err.Error(), "no room") || !strings.Contains(advice(err), "tpm2_nvundefine") {
			t.Errorf("%v, %q", err, advice(err))
		}
		left(t, m)
	})
	t.Run("owner's password", func(t *testing.T) {
		m := newMachine(t)
		tpmtest.Do(t, m.chip.Socket, tpmtest.SetOwner("secret"))
		_, err := m.AnchorEnable(t.Context(), daemontest.Root, "", "")
		if !strings.Contains(advice(err), "--owner-password-file") {
			t.Errorf("%v, %q", err, advice(err))
		}
		left(t, m)
		if s, err := m.AnchorEnable(t.Context(), daemontest.Root, "secret", ""); err != nil || s.Standing != api.AnchorDone {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := m.AnchorDisable(t.Context(), daemontest.Root, "", false, ""); err == nil {
			t.Error("disabled without the password")
		}
		m.pass(t)
		m.standing(t, api.AnchorDone)
		if _, err := m.AnchorDisable(t.Context(), daemontest.Root, "secret", false, ""); err != nil {
			t.Error(err)
		}
	})
	t.Run("no TPM", func(t *testing.T) {
		m := newMachine(t)
		m.chip.Stop()
		if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err == nil {
			t.Error("enabled without a TPM")
		}
		m.chip.Start()
		if s, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil || s.Standing != api.AnchorDone {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("index", func(t *testing.T) {
		m := newMachine(t)
		if err := os.Rename(m.Config.State, m.Config.State+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.Config.State, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err == nil {
			t.Error("enabled without an index")
		}
		if err := errors.Join(os.Remove(m.Config.State), os.Rename(m.Config.State+".away", m.Config.State)); err != nil {
			t.Fatal(err)
		}
		left(t, m)
		tpmtest.Do(t, m.chip.Socket, func(c *tpm.Conn) error {
			if _, _, err := c.NameAt(0x0181d1e5, nil); !errors.Is(err, tpm.ErrNoCounter) {
				t.Errorf("a counter is left: %v", err)
			}
			return nil
		})
	})
}

// TestLockedOut: a TPM that takes no passwords that it guards goes on with the counter.
func TestLockedOut(t *testing.T) {
	m := enabled(t)
	tpmtest.Do(t, m.chip.Socket, tpmtest.LockOut)
	m.deny(t, "tool<1")
	m.pass(t)
	m.standing(t, api.AnchorDone)
}

// TestTPMAway: without the TPM everything goes on, a start waits two seconds at most, and
// what was decided meanwhile is anchored when it is back.
func TestTPMAway(t *testing.T) {
	for what, away := range map[string]struct{ gone, back func(c *tokentest.TPM) }{
		"gone":    {func(c *tokentest.TPM) { c.Stop() }, func(c *tokentest.TPM) { c.Start() }},
		"hanging": {func(c *tokentest.TPM) { c.Hang() }, func(c *tokentest.TPM) { c.Wake() }},
	} {
		t.Run(what, func(t *testing.T) {
			m := enabled(t)
			before := m.AnchorStatus().Epoch
			m.Stop()
			away.gone(m.chip)
			m.Start(t)
			begun := time.Now()
			m.Anchor.Begin(t.Context())
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("the start took %v", took)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- m.Anchor.Loop(ctx) }()
			begun = time.Now()
			d, err := m.Deny(t.Context(), daemontest.Root, "tool<1", "", "test", "", time.Time{})
			if took := time.Since(begun); err != nil || d.Anchor != api.AnchorPending || took > 4*time.Second {
				t.Errorf("denied: %+v, %v, after %v", d, err, took)
			}
			m.Install(t, version(t, "2"))
			m.Sync(t)
			away.back(m.chip)
			for range 200 {
				if m.AnchorStatus().Standing == api.AnchorDone {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if s := m.standing(t, api.AnchorDone); s.Epoch <= before {
				t.Errorf("epoch %d after %d", s.Epoch, before)
			}
			if _, found := m.problem("anchor"); found {
				t.Error("the TPM is back, and the problem stays")
			}
			d, err = m.Deny(t.Context(), daemontest.Root, "tool<2", "", "test", "", time.Time{})
			if s := m.AnchorStatus(); err != nil || d.Anchor != api.AnchorDone || s.Standing != api.AnchorDone {
				t.Errorf("denied: %+v, %v, %+v", d, err, s)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTPMComesLater: a TPM that is not there when digestd starts is found when it is, although
// nothing was decided meanwhile.
func TestTPMComesLater(t *testing.T) {
	m := enabled(t)
	m.Stop()
	m.chip.Stop()
	m.Start(t)
	m.Anchor.Begin(t.Context())
	m.standing(t, api.AnchorUnreachable)
	if p, found := m.problem("anchor"); !found || p.Severity != api.SeverityWarning {
		t.Errorf("the problem is %+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Anchor.Loop(ctx) }()
	m.chip.Start()
	for range 200 {
		if m.AnchorStatus().Standing == api.AnchorDone {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.standing(t, api.AnchorDone)
	if _, found := m.problem("anchor"); found {
		t.Error("the TPM is there, and the problem stays")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// errKilled is what a chip panics with where a test kills the daemon.
var errKilled = errors.New("killed")

// mortal is a TPM at whose calls a test kills the daemon: before or after one of them.
type mortal struct {
	anchor.Chip
	at    int // counts down
	after bool
}

func (c *mortal) call(do func()) {
	c.at--
	if c.at == 0 && !c.after {
		panic(errKilled)
	}
	do()
	if c.at == 0 {
		panic(errKilled)
	}
}

func (c *mortal) Read(ctx context.Context, n tpm.Counter) (name []byte, value uint64, err error) {
	c.call(func() { name, value, err = c.Chip.Read(ctx, n) })
	return
}

func (c *mortal) Increment(ctx context.Context, n tpm.Counter) (err error) {
	c.call(func() { err = c.Chip.Increment(ctx, n) })
	return
}

func (c *mortal) Define(ctx context.Context, owner []byte, n tpm.Counter, mark []byte) (err error) {
	c.call(func() { err = c.Chip.Define(ctx, owner, n, mark) })
	return
}

func (c *mortal) Begin(ctx context.Context, n tpm.Counter, mark []byte) (value uint64, err error) {
	c.call(func() { value, err = c.Chip.Begin(ctx, n, mark) })
	return
}

func (c *mortal) Remove(ctx context.Context, owner []byte, n tpm.Counter, mark []byte) (err error) {
	c.call(func() { err = c.Chip.Remove(ctx, owner, n, mark) })
	return
}

// TestKilled: wherever the daemon ends, the next start finds its way: no crash is taken for
// an older state, nothing is lost, and what was begun can be begun again.
func TestKilled(t *testing.T) {
	type act struct {
		name    string
		prepare func(*machine)
		do      func(*machine) error
	}
	ctx := context.Background()
	for _, a := range []act{
		{"enable", func(m *machine) {}, func(m *machine) error {
			_, err := m.AnchorEnable(ctx, daemontest.Root, "", "")
			return err
		}},
		{"disable", func(m *machine) { m.AnchorEnable(ctx, daemontest.Root, "", "") }, func(m *machine) error {
			_, err := m.AnchorDisable(ctx, daemontest.Root, "", false, "")
			return err
		}},
		{"rebind", func(m *machine) {
			m.AnchorEnable(ctx, daemontest.Root, "", "")
			tpmtest.Do(t, m.chip.Socket, tpmtest.Clear)
			m.Anchor.Pass(ctx)
		}, func(m *machine) error {
			_, err := m.AnchorRebind(ctx, daemontest.Root, "", "")
			return err
		}},
		{"anchor", func(m *machine) {
			m.AnchorEnable(ctx, daemontest.Root, "", "")
			m.deny(t, "tool<1")
		}, func(m *machine) error { return m.Anchor.Pass(ctx) }},
	} {
		t.Run(a.name, func(t *testing.T) {
			for i := 0; ; i++ {
				m := newMachine(t)
				a.prepare(m)
				died := false
				func() {
					defer func() { died = recover() == errKilled }()
					m.Anchor.Chip = &mortal{m.Anchor.Chip, i/2 + 1, i%2 == 1}
					if err := a.do(m); err != nil {
						t.Fatal(err)
					}
				}()
				m.again(t)
				err := m.Anchor.Pass(ctx)
				s := m.AnchorStatus()
				if s.Standing == api.AnchorOlder {
					t.Errorf("killed at %d, and it counts as an older state", i)
				}
				if a.name == "anchor" && (err != nil || s.Standing != api.AnchorDone || s.Epoch != s.Value) {
					t.Errorf("killed at %d: %+v, %v", i, s, err)
				}
				// The act can be done again, whatever became of it.
				if err := a.do(m); err != nil && code(err) != api.Unchanged {
					t.Errorf("killed at %d, and then: %v", i, err)
				}
				want := api.AnchorDone
				if a.name == "disable" {
					want = api.AnchorNone
				}
				m.standing(t, want)
				if !died {
					if i < 2 {
						t.Errorf("only %d instants", i)
					}
					return
				}
			}
		})
	}
}

// TestRecorded: what is done with the anchor is on record.
func TestRecorded(t *testing.T) {
	m := enabled(t)
	restore := m.save(t, m.Config.State)
	m.deny(t, "tool<1")
	m.pass(t)
	restore()
	m.Anchor.Begin(t.Context())
	if _, err := m.AnchorAccept(t.Context(), daemontest.Root, "because"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AnchorDisable(t.Context(), daemontest.Root, "", false, "no more"); err != nil {
		t.Fatal(err)
	}
	events, _, err := m.Daemon.Log(t.Context(), api.LogFilter{Kind: "anchor-*"}, 0, 100)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	want := []string{audit.KindAnchorDisabled, audit.KindAnchorAccepted, audit.KindAnchorDoubt, audit.KindAnchorEnabled}
	if err != nil || !slices.Equal(kinds, want) {
		t.Errorf("%v, %v; want %v", kinds, err, want)
	}
}

// TestSecretFile: a secret that others could have read or written is not used.
func TestSecretFile(t *testing.T) {
	m := enabled(t)
	good, err := os.ReadFile(m.Config.AnchorSecret)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(path string) error{
		"readable by others": func(path string) error { return os.Chmod(path, 0o644) },
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		},
		"no JSON":    func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"incomplete": func(path string) error { return os.WriteFile(path, []byte("{}"), 0o600) },
		"huge":       func(path string) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) },
		"a folder":   func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		os.RemoveAll(m.Config.AnchorSecret)
		if err := errors.Join(os.WriteFile(m.Config.AnchorSecret, good, 0o600), os.Chmod(m.Config.AnchorSecret, 0o600), change(m.Config.AnchorSecret)); err != nil {
			t.Fatal(err)
		}
		if err := m.Anchor.Pass(t.Context()); err == nil {
			t.Errorf("%s: the secret was used", what)
		}
	}
	os.RemoveAll(m.Config.AnchorSecret)
	if err := os.WriteFile(m.Config.AnchorSecret, good, 0o600); err != nil {
		t.Fatal(err)
	}
	m.pass(t)
	m.standing(t, api.AnchorDone)
}

// code is the code of an error, "" for none.
func code(err error) api.Code {
	if err == nil {
		return ""
	}
	return api.AsError(err).Code
}

// advice is what an error says to do.
func advice(err error) string {
	if err == nil {
		return ""
	}
	return api.AsError(err).Advice
}
