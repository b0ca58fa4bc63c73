// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

var (
	noon   = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	signer = strings.Repeat("f1", 20)
	vendor = strings.Repeat("a0", 20)
	other  = strings.Repeat("b1", 20)
)

// entry is an active list of a package that a key signed.
func entry(text, key string) *view.Entry {
	pkg, err := nevra.Parse(text)
	if err != nil {
		panic(err)
	}
	return &view.Entry{List: record.List{Name: "tlv-" + text, State: record.Active, Package: pkg, Counter: 1, Rules: "rules", Key: key,
		Signature: &record.Signature{Key: key, Made: noon}, Header: sha256.Sum256([]byte(text)), Body: sha256.Sum256([]byte("body of " + text))}}
}

const fleetPackage = "fleet-0:1-1.noarch"

func with(entries ...*view.Entry) *grounds.Grounds {
	s := &grounds.Grounds{State: state.NewState(state.Settings{Rules: "rules"}, noon)}
	for _, e := range append(entries, entry(fleetPackage, signer)) {
		s.Put(e)
	}
	s.Begin()
	s.Stand()
	s.Queue = state.Records{}
	return s
}

// brought is a file of the package of policy.
func brought(text string) *Sources {
	return &Sources{Signers: []string{signer}, Files: []File{{Name: "base", Path: "/usr/base.toml", Data: []byte("version = 1\n" + text),
		List: "tlv-" + fleetPackage, Body: sha256.Sum256([]byte("body of " + fleetPackage))}}}
}

func own(name, text string) File {
	return File{Name: name, Path: "/etc/" + name + ".toml", Own: true, Data: []byte("version = 1\n" + text)}
}

// step is one event: first taken back, of which nothing may be left, then for good.
func step(t *testing.T, s *grounds.Grounds, fn func()) *state.Plan {
	t.Helper()
	before := memory(s)
	s.Begin()
	fn()
	s.Rollback()
	if now := memory(s); now != before {
		t.Errorf("taken back it leaves\n%s\nof\n%s", now, before)
	}
	s.Begin()
	fn()
	p := s.Seal()
	s.Stand()
	s.Queue = state.Records{}
	return p
}

func memory(s *grounds.Grounds) string {
	var lists []record.List
	for _, e := range s.Sorted() {
		lists = append(lists, e.List)
	}
	data, err := json.Marshal([]any{lists, s.Keys, s.Policed.Policies, slices.Sorted(maps.Keys(s.Policed.Said)), s.Policed.Unheard, s.Floors, s.Others, s.NextSeq})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// kinds are those of the entries of the log that a plan makes durable first.
func kinds(p *state.Plan) (all []string) {
	if p.Intent != nil {
		for _, e := range p.Intent.Events {
			all = append(all, e.Kind)
		}
	}
	return all
}

func withdrawn(p *state.Plan) (names []string) {
	for _, w := range p.Withdraw {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	return names
}

func wants(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func floor(pkg, version string) string {
	return fmt.Sprintf("[[floor]]\npackage = %q\nversion = %q\nreason = \"old\"\n", pkg, version)
}

func revocation(key string) string {
	return fmt.Sprintf("[[revocation]]\nkey = %q\nreason = \"lost\"\n", key)
}

// TestRecordedFirst: what a policy says, and what follows, is durable before the first list
// goes.
func TestRecordedFirst(t *testing.T) {
	s := with(entry("hello-0:1-1.noarch", vendor), entry("other-0:1-1.noarch", other), entry("third-0:1-1.noarch", vendor))
	src := brought(floor("hello", "0:2-1") + revocation(other) + "[[denial]]\npackage = \"third\"\nreason = \"r\"\n")
	p := step(t, s, func() {
		if !Adopt(s, src) {
			t.Error("nothing is new")
		}
	})
	wants(t, "lists that go", withdrawn(p), "tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch", "tlv-third-0:1-1.noarch")
	wants(t, "the log", kinds(p)[:2], audit.KindPolicyAdopted, audit.KindKeyRevoked)
	if text := p.Intent.Events[0].Text; text != "it has 3 rules; 3 of 4 lists must be withdrawn" {
		t.Errorf("the effect is %q", text)
	}
	if d := s.Others["policy:base"]; len(d) != 1 || !d[0].Foreign || d[0].By != "policy:base" || d[0].ID == "" {
		t.Errorf("denied is %+v", d)
	}
	p = step(t, s, func() {
		if Adopt(s, src) {
			t.Error("the same is new")
		}
	})
	if p.Intent != nil || p.Visible() || p.Record || p.Show {
		t.Errorf("the same asks for %+v", p)
	}
}

// TestLoad: a start finds what was in force; of a file that is gone, what tightens; and
// goes on with what it cannot read.
func TestLoad(t *testing.T) {
	text := []byte("version = 1\n" + floor("hello", "0:2-1") + "[[exemption]]\ncgroup = \"/lxc\"\nreason = \"r\"\n")
	s := with()
	Load(s, map[string]record.Policy{
		"there":   {Name: "there", Text: text, Package: fleetPackage},
		"gone":    {Name: "gone", Text: text, Gone: noon},
		"foreign": {Name: "foreign", Text: []byte("version = 9"), Digest: record.Digest{1}},
	})
	if a, b, c := s.Policed.Said["there"].Len(), s.Policed.Said["gone"].Len(), s.Policed.Said["foreign"].Len(); a != 2 || b != 1 || c != 0 {
		t.Errorf("they have %d, %d and %d rules", a, b, c)
	}
	if len(s.Floors["hello"]) != 2 || !s.Queue.Empty() {
		t.Errorf("floors %+v", s.Floors)
	}
	i := slices.IndexFunc(s.Problems, func(p api.Problem) bool { return p.ID == "policy-unread" })
	if i < 0 || !strings.Contains(s.Problems[i].Text, "what the policy foreign said is not in force") || !s.Policed.Policies["foreign"].Digest.IsZero() {
		t.Errorf("problems %+v", s.Problems)
	}
}

// TestFailedLook: where a directory cannot be read, what was in force stays.
func TestFailedLook(t *testing.T) {
	s := with()
	step(t, s, func() {
		Adopt(s, brought(floor("hello", "0:2-1")+"[[protected]]\npackage = \"hello\"\nreason = \"r\"\n"))
	})
	step(t, s, func() {
		if Adopt(s, &Sources{Signers: []string{signer}, Err: fmt.Errorf("an error of the disk")}) {
			t.Error("something changed")
		}
	})
	if s.Policed.Said["base"].Len() != 2 || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "an error of the disk") {
		t.Errorf("%+v, problems %+v", s.Policed.Said, s.Problems)
	}
	step(t, s, func() { Adopt(s, &Sources{Signers: []string{signer}}) })
	if s.Policed.Said["base"].Len() != 1 || len(s.Problems) != 0 || s.Policed.Policies["base"].Gone.IsZero() {
		t.Errorf("%+v, problems %+v", s.Policed.Policies, s.Problems)
	}
	if f := s.Floors["hello"]; len(f) != 1 || f[0].Keep {
		t.Errorf("without the protection the floor is %+v", f)
	}
}

// TestConflicts: a file that contradicts another one is refused as a whole, and so is one
// of a name that is none; several share one problem.
func TestConflicts(t *testing.T) {
	s := with()
	src := &Sources{Files: []File{own("a", floor("x", "0:1-1")), own("B", ""), {Name: "c", Path: "/etc/c.toml", Own: true, Err: fmt.Errorf("it is a socket")}}}
	step(t, s, func() { Adopt(s, src) })
	if len(s.Policed.Policies) != 1 || len(s.Policed.Unheard) != 2 {
		t.Errorf("%+v, unheard %+v", s.Policed.Policies, s.Policed.Unheard)
	}
	if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, `2 policy files do not count, the first is /etc/B.toml: "B" is no name`) {
		t.Errorf("problems %+v", s.Problems)
	}
}

// TestSeveralRevoke: a key stays revoked while any policy says so, and is not restored by
// one that never revoked it.
func TestSeveralRevoke(t *testing.T) {
	s := with()
	a, b := own("a", revocation(other)), own("b", revocation(other)+revocation(vendor))
	step(t, s, func() {
		s.Note(vendor, record.KeyRevocation{Source: "administrator", Hard: true, Act: record.Act{Reason: "mine"}}, noon)
		Adopt(s, &Sources{Files: []File{a, b}})
	})
	if s.Keys[other].Revoked.Source != "policy:a" || s.Keys[vendor].Revoked.Source != "administrator" {
		t.Errorf("revoked: %+v", s.Keys)
	}
	step(t, s, func() { Adopt(s, &Sources{Files: []File{own("a", ""), b}}) })
	if r := s.Keys[other].Revoked; r == nil || r.Source != "policy:b" {
		t.Errorf("by the other one: %+v", r)
	}
	p := step(t, s, func() { Adopt(s, &Sources{Files: []File{own("a", ""), own("b", "")}}) })
	if s.Keys[other].Revoked != nil || s.Keys[vendor].Revoked == nil {
		t.Errorf("by nobody: %+v", s.Keys)
	}
	wants(t, "the log", kinds(p), audit.KindPolicyAdopted, audit.KindKeyRestored)
	if name := s.Policed.PolicyRevoking(other); name != "" {
		t.Errorf("%s revokes it", name)
	}
}

// TestForget: only what stayed of a policy can be forgotten.
func TestForget(t *testing.T) {
	s := with(entry("hello-0:1-1.noarch", vendor))
	step(t, s, func() { Adopt(s, brought(floor("hello", "0:2-1"))) })
	act := record.Act{UID: 5, Reason: "why"}
	for name, want := range map[string]api.Code{"base": api.Failed, "none": api.NotFound} {
		s.Begin()
		err, is := Forget(s, name, act).(*api.Error)
		if !is || err.Code != want {
			t.Errorf("%s: %v", name, err)
		}
		s.Rollback()
	}
	step(t, s, func() { Adopt(s, &Sources{Signers: []string{signer}}) })
	p := step(t, s, func() {
		if err := Forget(s, "base", act); err != nil {
			t.Error(err)
		}
	})
	wants(t, "the log", kinds(p), audit.KindPolicyForgotten)
	if p.Intent.Events[0].UID != 5 || len(s.Policed.Policies) != 0 || len(s.Floors) != 0 {
		t.Errorf("%+v, floors %+v", s.Policed.Policies, s.Floors)
	}
}

// TestUpgraded: another package that may not bring policy lifts nothing.
func TestUpgraded(t *testing.T) {
	for name, test := range map[string]struct {
		now  *view.Entry
		left int
	}{
		"the next release":      {entry("fleet-0:2-1.noarch", signer), 0},
		"of another key":        {entry("fleet-0:2-1.noarch", vendor), 1},
		"of another name":       {entry("elf-0:2-1.noarch", signer), 1},
		"withheld":              {func() *view.Entry { e := entry("fleet-0:2-1.noarch", signer); e.State = record.Withheld; return e }(), 1},
		"of another processor":  {entry("fleet-0:2-1.x86_64", signer), 1},
		"an own list like that": {func() *view.Entry { e := entry("fleet-0:2-1.noarch", signer); e.Own = "fleet"; return e }(), 1},
	} {
		s := with()
		step(t, s, func() { Adopt(s, brought(floor("hello", "0:2-1"))) })
		step(t, s, func() { s.Forget("tlv-" + fleetPackage); s.Put(test.now) })
		step(t, s, func() { Adopt(s, &Sources{Signers: []string{signer}}) })
		if len(s.Policed.Said) != test.left {
			t.Errorf("%s: left is %+v", name, s.Policed.Policies)
		}
	}
}

// TestProtects: names that every machine needs, and those that policies add.
func TestProtects(t *testing.T) {
	s := with()
	step(t, s, func() {
		Adopt(s, &Sources{Files: []File{own("a", floor("agent-x", "0:1-1")+"[[protected]]\npackage = \"agent-*\"\nreason = \"r\"\n")}})
	})
	for name, want := range map[string]bool{"glibc": true, "kernel-core": true, "agent-x": true, "agent": false, "hello": false} {
		if got := s.Policed.Protects(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if f := s.Floors["agent-x"]; len(f) != 1 || !f[0].Keep || f[0].Strength != "a file of the administrator's" {
		t.Errorf("its floor is %+v", f)
	}
	if d := policy.Admit(policy.Enforce, s.Floors.Raise(policy.Line{}, "agent-x", "noarch"), entry("agent-x-0:0-1.noarch", "").Package); d.Verdict != policy.Veto {
		t.Errorf("what comes below it: %+v", d)
	}
}
