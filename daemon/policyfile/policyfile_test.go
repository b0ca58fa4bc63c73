// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"crypto/sha256"
	"fmt"
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
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/policyfile"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

const (
	helloList = "tlv-hello-0:1-1.noarch"
	otherList = "tlv-other-0:1-1.noarch"
	path      = policyfile.Dir + "/base.toml"
)

func key(t *testing.T, owner string) string { return daemontest.Key(t, owner).Fingerprint() }

// machine has two packages of two vendors. The fleet's key, and its next one, may bring
// policy.
func machine(t *testing.T, set ...func(*config.Config)) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, append([]func(*config.Config){func(c *config.Config) {
		c.Unsigned, c.PolicySigners = "withhold", []string{key(t, "fleet"), key(t, "next")}
	}}, set...)...)
	m.Import(t, daemontest.Key(t, "fleet"), daemontest.Key(t, "vendor"), daemontest.Key(t, "another"))
	m.Install(t, daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one", "/usr/bin/bad": "bad"}),
		daemontest.Package(t, "other", "another", map[string]string{"/usr/bin/other": "three"}))
	m.Sync(t)
	m.Wants()
	return m
}

// release is a version of the package of policy, with a file of that text.
func release(t *testing.T, version, owner, text string) gendb.Small {
	t.Helper()
	files := map[string]string{"/usr/share/doc/fleet": version}
	if text != "" {
		files[path] = "version = 1\n" + text
	}
	p := daemontest.Package(t, "fleet", owner, files)
	p.NEVRA.Version = version
	return p
}

// run is a transaction in which a package comes, and another leaves; its files are on
// disk before its end, as they are by rpm.
func run(t *testing.T, m *daemontest.Machine, socket string, come, leave *gendb.Small) (notes []wire.Note) {
	t.Helper()
	var in, out []gendb.Small
	if come != nil {
		in = append(in, *come)
	}
	if leave != nil {
		out = append(out, *leave)
	}
	x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, in, out))
	if x.Verdict.Decision == wire.Refuse {
		return append(notes, x.Verdict.Notes...)
	}
	if leave != nil {
		for file := range leave.Files {
			os.Remove(m.Path(file))
		}
	}
	if come != nil {
		x.Put(t, *come)
		for file, text := range come.Files {
			m.File(t, file, text)
		}
	}
	if leave != nil {
		x.Drop(t, *leave)
	}
	return x.Finish(t)
}

func floor(pkg, version string) string {
	return fmt.Sprintf("[[floor]]\npackage = %q\nversion = %q\nreason = \"old\"\n", pkg, version)
}

func denial(what string) string { return "[[denial]]\n" + what + "\nreason = \"bad\"\n" }

func revocation(key string) string {
	return fmt.Sprintf("[[revocation]]\nkey = %q\nreason = \"lost\"\n", key)
}

const exemption = "[[exemption]]\ncgroup = \"/lxc\"\nreason = \"containers\"\n"

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func wantLists(t *testing.T, m *daemontest.Machine, when string, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(m.Names(t), func(name string) bool { return strings.HasPrefix(name, "tlv-fleet-") })
	if !slices.Equal(got, want) {
		t.Errorf("%s: the lists are %v, want %v", when, got, want)
	}
}

// rules are those in force, sorted.
func rules(m *daemontest.Machine) string {
	var all []string
	for _, said := range m.Snapshot().Said {
		for _, w := range said.Rules() {
			all = append(all, w.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func wantRules(t *testing.T, m *daemontest.Machine, when string, want ...string) {
	t.Helper()
	if got := rules(m); got != strings.Join(want, ", ") {
		t.Errorf("%s: in force is %q, want %q", when, got, want)
	}
}

// TestLife: what a package says is in force when its transaction ends, and durable; an
// upgrade replaces all of it; an older release does not come back; when the package goes,
// what tightens stays until an administrator has it forgotten.
func TestLife(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one := release(t, "1", "fleet", floor("hello", "0:2-1")+denial("digests = [\""+digest("bad")+"\"]")+exemption)
	if notes := run(t, m, socket, &one, nil); len(notes) > 0 {
		t.Errorf("the first: %+v", notes)
	}
	first := []string{"denial sha256:" + digest("bad"), "exemption lxc", "floor hello 0:2-1"}
	wantRules(t, m, "the first", first...)
	wantLists(t, m, "the first", otherList)
	if e := m.Snapshot().List(helloList); e == nil || !strings.Contains(e.Text, "below the floor 2-1 that policy:base sets") {
		t.Errorf("hello is %+v", e)
	}
	if r := m.Snapshot().Policies["base"]; r.Path != path || r.Key != key(t, "fleet") || r.Package != "fleet-0:1-1.noarch" || r.Effect != "it has 3 rules; 1 of 3 lists must be withdrawn, besides files that are denied" {
		t.Errorf("its record is %+v", r)
	}
	if events := m.Events(t, audit.KindPolicyAdopted, audit.KindWithdrawn); len(events) != 2 || events[0].Kind != audit.KindPolicyAdopted || events[0].Text == "" {
		t.Errorf("the log has %+v", events)
	}

	m.Stop()
	m.Start(t)
	wantRules(t, m, "after a restart", first...)
	if d := m.Snapshot().Floors["hello"]; len(d) != 1 || d[0].Origin != "policy:base" {
		t.Errorf("floors after a restart: %+v", d)
	}
	m.Sync(t)
	m.Sync(t)
	wantRules(t, m, "compared", first...)
	wantLists(t, m, "compared", otherList)

	socket, _ = m.Serve(t)
	two := release(t, "2", "fleet", floor("other", "0:2-1"))
	run(t, m, socket, &two, &one)
	wantRules(t, m, "the second", "floor other 0:2-1")
	m.Sync(t)
	wantLists(t, m, "the second", helloList)

	if notes := run(t, m, socket, &one, &two); len(notes) != 1 || !strings.Contains(notes[0].Text, "fleet-1-1.noarch is older than 2-1") {
		t.Errorf("the first again: %+v", notes)
	}
	wantRules(t, m, "the first again", "floor other 0:2-1")

	three := release(t, "3", "fleet", floor("other", "0:3-1")+exemption)
	run(t, m, socket, &three, &two)
	run(t, m, socket, nil, &three)
	wantRules(t, m, "removed", "floor other 0:3-1")
	m.Sync(t)
	wantLists(t, m, "removed", helloList)
	if r := m.Snapshot().Policies["base"]; r.Gone.IsZero() || r.Why != "the file is gone" {
		t.Errorf("its record is %+v", r)
	}
	m.Stop()
	m.Start(t)
	m.Sync(t)
	wantRules(t, m, "removed, after a restart", "floor other 0:3-1")

	act := func(s *ledger.Ledger) (record.Act, error) { return ledger.Act(s, api.Actor{UID: 5}, "no more") }
	if err := m.Policies.Forget(t.Context(), "base", act); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantRules(t, m, "forgotten")
	wantLists(t, m, "forgotten", helloList, otherList)
	if err := m.Policies.Forget(t.Context(), "base", act); daemontest.Code(err) != api.NotFound {
		t.Errorf("again: %v", err)
	}
	if problems := m.Snapshot().Problems; len(problems) > 0 {
		t.Errorf("problems: %+v", problems)
	}
}

// TestUpgradeWithoutFile: an upgrade that has the file no more lifts all that it said.
func TestUpgradeWithoutFile(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one, two := release(t, "1", "fleet", floor("hello", "0:2-1")), release(t, "2", "fleet", "")
	run(t, m, socket, &one, nil)
	wantLists(t, m, "before", otherList)
	run(t, m, socket, &two, &one)
	m.Sync(t)
	wantRules(t, m, "after")
	wantLists(t, m, "after", helloList, otherList)
	if len(m.Snapshot().Policies) > 0 {
		t.Errorf("left is %+v", m.Snapshot().Policies)
	}
}

// TestWhoMayNot: files of packages that nobody signed, or others than policy-signers, say
// nothing; nor does any where no key may bring policy.
func TestWhoMayNot(t *testing.T) {
	for name, test := range map[string]struct {
		owner   string
		set     func(*config.Config)
		problem string
	}{
		"unsigned":       {"", func(*config.Config) {}, "no active list has it with this content"},
		"another signer": {"vendor", func(*config.Config) {}, "its package fleet-1-1.noarch is not signed by one of policy-signers"},
		"nobody may":     {"fleet", func(c *config.Config) { c.PolicySigners = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, test.set)
			socket, _ := m.Serve(t)
			one := release(t, "1", test.owner, floor("hello", "0:2-1"))
			run(t, m, socket, &one, nil)
			wantRules(t, m, "it came")
			wantLists(t, m, "it came", helloList, otherList)
			if text := m.Problem("policy").Text; !strings.Contains(text, test.problem) || (text == "") != (test.problem == "") {
				t.Errorf("the problem is %q", text)
			}
			if u := m.Snapshot().Unheard["base"]; u.Why == "" || u.Path != path {
				t.Errorf("unheard: %+v", u)
			}
		})
	}
}

// TestAltered: a file that somebody changed, or removed, does not count: what it loosened
// has ended, what it tightened stays. As it was, it counts again.
func TestAltered(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one := release(t, "1", "fleet", floor("hello", "0:2-1")+exemption)
	run(t, m, socket, &one, nil)
	for name, alter := range map[string]func(){
		"altered": func() { m.File(t, path, "version = 1\n"+exemption) },
		"removed": func() { os.Remove(m.Path(path)) },
		"a link": func() {
			os.Remove(m.Path(path))
			if err := os.Symlink(m.File(t, "/tmp/x", one.Files[path]), m.Path(path)); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func() {
			os.Remove(m.Path(path))
			if err := os.Mkdir(m.Path(path), 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		alter()
		if err := m.Policies.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRules(t, m, name, "floor hello 0:2-1")
		if problem := m.Problem("policy").Text; (problem == "") != (name == "removed") {
			t.Errorf("%s: the problem is %q", name, problem)
		}
		os.RemoveAll(m.Path(path))
		m.File(t, path, one.Files[path])
		if err := m.Policies.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRules(t, m, name+", and put back", "exemption lxc", "floor hello 0:2-1")
		if problem := m.Problem("policy").Text; problem != "" {
			t.Errorf("%s, and put back: the problem is %q", name, problem)
		}
	}
}

// TestErrors: a file with an error says nothing, and what its package said before stays.
func TestErrors(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one, two := release(t, "1", "fleet", floor("hello", "0:2-1")), release(t, "2", "fleet", floor("other", "0:2-1")+"colour = 7\n")
	run(t, m, socket, &one, nil)
	run(t, m, socket, &two, &one)
	wantRules(t, m, "with an error", "floor hello 0:2-1")
	if text := m.Problem("policy").Text; !strings.Contains(text, path+": line 6: floor.colour: there is no such key") {
		t.Errorf("the problem is %q", text)
	}
	m.Sync(t)
	m.Sync(t)
	if events := m.Events(t, audit.KindPolicyRefused); len(events) != 1 || events[0].Package != "policy:base" || !strings.Contains(events[0].Reason, "line 6") {
		t.Errorf("the log has %+v", events)
	}
	three := release(t, "3", "fleet", floor("other", "0:2-1"))
	run(t, m, socket, &three, &two)
	wantRules(t, m, "mended", "floor other 0:2-1")
	if text := m.Problem("policy").Text; text != "" {
		t.Errorf("mended: the problem is %q", text)
	}
}

// TestRevocations: a key that a policy revokes vouches for nothing until no policy says so
// any more.
func TestRevocations(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one, two := release(t, "1", "fleet", revocation(key(t, "another"))), release(t, "2", "fleet", floor("absent", "0:1-1"))
	run(t, m, socket, &one, nil)
	wantLists(t, m, "revoked", helloList)
	if k := m.Snapshot().Keys[key(t, "another")]; k.Revoked == nil || k.Revoked.Source != "policy:base" || k.Revoked.Reason != "lost" {
		t.Errorf("the key is %+v", k)
	}
	if _, err := m.KeyRestore(t.Context(), api.Actor{}, key(t, "another"), "why"); daemontest.Code(err) != api.InvalidArgument || !strings.Contains(err.Error(), "policy base") {
		t.Errorf("an administrator lifts it: %v", err)
	}
	m.Sync(t)
	wantLists(t, m, "compared", helloList)
	run(t, m, socket, &two, &one)
	m.Sync(t)
	wantLists(t, m, "lifted", helloList, otherList)
	if k := m.Snapshot().Keys[key(t, "another")]; k.Revoked != nil {
		t.Errorf("the key is %+v", k)
	}
}

// TestRefusedEffects: no policy revokes its own signer without another one in its place,
// nor withdraws the lists of what is protected, nor revokes what signs the lists here.
func TestRefusedEffects(t *testing.T) {
	glibc := daemontest.Package(t, "glibc", "another", map[string]string{"/usr/lib/libc.so": "c"})
	for name, test := range map[string]struct {
		text    func(m *daemontest.Machine) string
		trusted bool // the key that is to follow
		glibc   bool
		says    string // "" if it is adopted
	}{
		"its own signer":             {func(*daemontest.Machine) string { return revocation(key(t, "fleet")) }, false, false, "it revokes its own signer"},
		"its own signer, with heir":  {func(*daemontest.Machine) string { return revocation(key(t, "fleet")) }, true, false, ""},
		"all that may bring policy":  {func(*daemontest.Machine) string { return revocation(key(t, "fleet")) + revocation(key(t, "next")) }, true, false, "it revokes its own signer"},
		"the key of what must stay":  {func(*daemontest.Machine) string { return revocation(key(t, "another")) }, false, true, "would withdraw the list of glibc-1-1.noarch, which is protected"},
		"a denial of what must stay": {func(*daemontest.Machine) string { return denial(`package = "glibc"`) }, false, true, "would withdraw the list of glibc-1-1.noarch, which is protected"},
		"a floor of what must stay":  {func(*daemontest.Machine) string { return floor("glibc", "0:2-1") }, false, true, ""},
		"what signs lists here":      {func(m *daemontest.Machine) string { return revocation(m.Snapshot().Signer) }, false, false, "signs the lists of this machine"},
		"what it protects itself": {func(*daemontest.Machine) string {
			return revocation(key(t, "another")) + "[[protected]]\npackage = \"oth*\"\nreason = \"r\"\n"
		}, false, false, "would withdraw the list of other-1-1.noarch, which is protected"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			if test.trusted {
				m.Import(t, daemontest.Key(t, "next"))
			}
			if test.glibc {
				m.Install(t, glibc)
			}
			m.Sync(t)
			before := m.Names(t)
			socket, _ := m.Serve(t)
			one := release(t, "1", "fleet", test.text(m))
			run(t, m, socket, &one, nil)
			m.Sync(t)
			problem := m.Problem("policy").Text
			if test.says != "" {
				if !strings.Contains(problem, test.says) || rules(m) != "" {
					t.Errorf("the problem is %q, in force is %q", problem, rules(m))
				}
				wantLists(t, m, "refused", before...)
				return
			}
			if rules(m) == "" {
				t.Errorf("it is not in force: %q", problem)
			}
			if test.glibc && !slices.Equal(slices.DeleteFunc(m.Names(t), func(n string) bool { return strings.HasPrefix(n, "tlv-fleet") }), before) {
				t.Errorf("the lists are %v, and were %v", m.Names(t), before)
			}
			if test.glibc {
				old := glibc
				old.NEVRA.Version = "0"
				if c, err := m.CheckVersion(t.Context(), "glibc-0:1.5-1.noarch"); err != nil || c.Reason != string(policy.ReasonRollbackFloor) {
					t.Errorf("one below the floor that is to come: %+v, %v", c, err)
				}
			}
		})
	}
}

// TestOwnFiles: the administrator's own files count if only root can change them, and what
// tightens stays when one goes.
func TestOwnFiles(t *testing.T) {
	needs.Root(t)
	m := machine(t)
	file := filepath.Join(m.Config.Policy, "site.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("version = 1\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refresh := func() {
		t.Helper()
		if err := m.Policies.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write(floor("hello", "0:2-1") + exemption)
	refresh()
	wantRules(t, m, "there", "exemption lxc", "floor hello 0:2-1")
	wantLists(t, m, "there", otherList)
	if got := m.Snapshot().PolicyExemptions(); !slices.Equal(got, []string{"lxc"}) {
		t.Errorf("exempt are %v", got)
	}
	for name, test := range map[string]struct {
		change func() error
		back   func() error
		says   string
	}{
		"writable":                {func() error { return os.Chmod(file, 0o664) }, func() error { return os.Chmod(file, 0o644) }, "others than root can change"},
		"another's":               {func() error { return os.Chown(file, 1000, 0) }, func() error { return os.Chown(file, 0, 0) }, "belongs to user 1000"},
		"in a writable directory": {func() error { return os.Chmod(m.Config.Policy, 0o777) }, func() error { return os.Chmod(m.Config.Policy, 0o755) }, "others than root can change"},
		"too long": {func() error { return os.Truncate(file, 2<<20) }, func() error { write(floor("hello", "0:2-1") + exemption); return nil },
			"it has more than 1048576 bytes"},
	} {
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		refresh()
		if text := m.Problem("policy").Text; !strings.Contains(text, test.says) {
			t.Errorf("%s: the problem is %q", name, text)
		}
		if got := rules(m); !strings.Contains(got, "floor hello") {
			t.Errorf("%s: in force is %q", name, got)
		}
		if err := test.back(); err != nil {
			t.Fatal(err)
		}
		refresh()
		if text := m.Problem("policy").Text; text != "" {
			t.Errorf("%s, and back: the problem is %q", name, text)
		}
		wantRules(t, m, name+", and back", "exemption lxc", "floor hello 0:2-1")
	}
	os.Remove(file)
	refresh()
	wantRules(t, m, "removed", "floor hello 0:2-1")
	write("")
	refresh()
	m.Sync(t)
	wantRules(t, m, "empty")
	wantLists(t, m, "empty", helloList, otherList)
	for i := range 65 {
		if err := os.WriteFile(filepath.Join(m.Config.Policy, fmt.Sprintf("n%d.toml", i)), []byte("version = 1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	if text := m.Problem("policy").Text; !strings.Contains(text, "has more than 64 files") {
		t.Errorf("many files: the problem is %q", text)
	}
}

// TestTwoOfOneName: of two files of one name the one that came first stays in force.
func TestTwoOfOneName(t *testing.T) {
	m := machine(t)
	socket, _ := m.Serve(t)
	one := release(t, "1", "fleet", floor("hello", "0:2-1"))
	run(t, m, socket, &one, nil)
	if err := os.WriteFile(filepath.Join(m.Config.Policy, "base.toml"), []byte("version = 1\n"+exemption), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Policies.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRules(t, m, "two", "floor hello 0:2-1")
	if text := m.Problem("policy").Text; !strings.Contains(text, "another file has its name: "+path) {
		t.Errorf("the problem is %q", text)
	}
}

// TestNotRecorded: what cannot be recorded has not happened, and is taken over as soon as
// it can.
func TestNotRecorded(t *testing.T) {
	m := machine(t)
	if err := os.WriteFile(filepath.Join(m.Config.Policy, "site.toml"), []byte("version = 1\n"+floor("hello", "0:2-1")+revocation(key(t, "another"))), 0o644); err != nil {
		t.Fatal(err)
	}
	m.ActFailsWhole(t, func() error { return m.Policies.Refresh(t.Context()) })
	wantLists(t, m, "in the end")
}

// processorTime is how long this process has used processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkRefresh measures a look at a policy of so many floors: when it came, and when
// nothing has changed. What others do at the time does not change the processor time.
func BenchmarkRefresh(b *testing.B) {
	for _, n := range []int{3, 1000, 10_000} {
		m := daemontest.New(b)
		text := "version = 1\n"
		for i := range n {
			text += floor(fmt.Sprintf("package-%d", i), "0:1-1")
		}
		file := filepath.Join(m.Config.Policy, "site.toml")
		b.Run(fmt.Sprintf("%d new", n), func(b *testing.B) {
			before := processorTime(b)
			for i := 0; b.Loop(); i++ {
				if err := os.WriteFile(file, fmt.Appendf(nil, "%s# %d\n", text, i), 0o644); err != nil {
					b.Fatal(err)
				}
				if err := m.Policies.Refresh(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(text)), "bytes")
			b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
		b.Run(fmt.Sprintf("%d same", n), func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				if err := m.Policies.Refresh(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}
