// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

func deny(s *Grounds, list ...record.Denial) {
	for i, d := range list {
		if d.ID == "" {
			d.ID = fmt.Sprintf("d-%d", i)
		}
		s.SetDenial(d)
	}
	s.CompileDenials()
	s.Begin()
	s.Stand()
	s.Queue = state.Records{}
}

// The owner's word comes before that of others, and one that cannot be read keeps none of
// the rest from holding.
func TestCompileDenials(t *testing.T) {
	s := with(state.Settings{})
	basis := s.Basis
	s.Others = map[string][]policy.Denial{"the kernel": {{ID: "k-1", Package: policy.Range{Name: "bash"}, Foreign: true}, {ID: "k-2", Package: policy.Range{Name: "vim"}, Foreign: true}}}
	s.Denied = map[string]record.Denial{"d-bad": {ID: "d-bad", Digests: []string{"bash"}}, "d-own": {ID: "d-own", Package: "bash"},
		"d-over": {ID: "d-over", Package: "over", Expires: noon}}
	s.CompileDenials()
	if s.Basis != basis+1 {
		t.Errorf("what is under way goes on: %d after %d", s.Basis, basis)
	}
	for name, want := range map[string]string{"bash": "d-own", "vim": "k-2", "over": "", "other": ""} {
		got := ""
		if d := s.Denials.Package(parsed(name + "-1-1.noarch")); d != nil {
			got = d.ID
		}
		if got != want {
			t.Errorf("%s is denied by %q, want %q", name, got, want)
		}
	}
	says(t, s, "denials", api.SeverityError, "denial d-bad cannot be read and has no effect")
	if ids := s.Owners(); len(ids) != 2 || ids[0].ID != "d-over" || ids[1].ID != "d-own" {
		t.Errorf("the owner's are %+v", ids)
	}
}

// TestDeniedLists: what must go, what has to be looked into, and what stays.
func TestDeniedLists(t *testing.T) {
	own := func(name string) func(*view.Entry) { return func(e *view.Entry) { e.Own = name } }
	all := []*view.Entry{
		listOf("bad", "1-1"), listOf("bad", "2-1"), listOf("bad", "1-0", withheld),
		listOf("hit", "1-1", withContents("fine", "evil")), listOf("harmless", "1-1", withContents("evil")),
		listOf("gone", "1-1", withContents("evil"), withheld), listOf("clean", "1-1", withContents("fine")), listOf("bare", "1-1"),
		listOf("imported", "1-1", own("imported")), listOf("removed", "1-1", own("removed")), listOf("newer", "1-1", own("newer")),
	}
	s := with(state.Settings{}, all...)
	for name, pkg := range map[string]string{"imported": "bad-0:1-1.noarch", "removed": "bad-0:1-1.noarch", "newer": "bad-0:2-1.noarch"} {
		o := record.Own{Name: name, Package: pkg}
		if name == "removed" {
			o.Removed = noon
		}
		s.SetOwn(o)
	}
	deny(s, record.Denial{ID: "d-pkg", Package: "bad", Below: "2", Act: because("it is bad")}, record.Denial{ID: "d-sum", Digests: []string{contentID("evil")}})
	out, hit := s.DeniedLists(map[*view.Entry]bool{s.ByName["tlv-harmless-0:1-1.noarch"]: true})
	var got []string
	for _, x := range out {
		got = append(got, "out "+x.Entry.Name+" "+string(x.Decision.Reason)+" "+x.Decision.Denial)
	}
	for _, e := range hit {
		got = append(got, "hit "+e.Name)
	}
	wants(t, got, "out tlv-bad-0:1-1.noarch denied d-pkg", "out tlv-imported-0:1-1.noarch denied d-pkg", "hit tlv-hit-0:1-1.noarch")
}

func reduction(e *view.Entry, change ...func(*Reduction)) *Reduction {
	d := &policy.Denial{ID: "d-sum", By: "root"}
	r := &Reduction{Entry: e, Candidate: view.Candidate{Pkg: e.Package, Header: e.Header, Name: e.Name}}
	r.Made = view.Made{Signer: "signer", Files: 1, Body: sha256.Sum256([]byte("less of " + e.Name)), File: sha256.Sum256([]byte("file")), Staged: record.StagedAs("staging", 1)}
	r.Omitted.Add(d, []byte("/usr/bin/evil"))
	for _, f := range change {
		f(r)
	}
	return r
}

// TestReplaceReduced: what becomes of each list that held something denied.
func TestReplaceReduced(t *testing.T) {
	const name = "tlv-hit-0:1-1.noarch"
	failed := errors.New("disk full")
	body := sha256.Sum256([]byte("body of hit-0:1-1.noarch"))
	retired := fmt.Sprintf("retired %x", body[:4])
	suspended := []string{"first meta open", "withdraw " + name, "lists " + name + " withheld denied", retired, "log withdrawn hit-0:1-1.noarch denied"}
	for _, test := range []struct {
		name      string
		change    func(*Reduction)
		late      bool
		want      []string
		out       bool
		says      string // of the list in the end
		denied    string
		published state.Published
		after     []string // what its publication queues
	}{
		{name: "made for other denials", late: true},
		{name: "holds nothing denied", change: func(r *Reduction) { r.Harmless = true }},
		{name: "changed meanwhile", change: func(r *Reduction) { r.Entry = listOf("hit", "1-1") }},
		{name: "could not be made", change: func(r *Reduction) { r.Err = failed }, want: suspended, out: true, says: "could not be made without it: disk full", denied: "d-sum"},
		{name: "would be empty", change: func(r *Reduction) { r.Err = fmt.Errorf("no: %w", digestlist.ErrEmpty) }, want: suspended, out: true, says: Emptied, denied: "d-sum"},
		{name: "could not be read", change: func(r *Reduction) { r.Err, r.Omitted = failed, view.Omission{} }, want: suspended, out: true, says: "disk full", denied: "d-evil"},
		{name: "could not appear", published: state.Published{Err: failed}, want: []string{"first meta open", "publish " + name + " from staging"}, out: true,
			says: "disk full", denied: "d-sum", after: suspended[1:]},
		{name: "appeared", published: state.Published{Stamp: record.Stamp{Ino: 7}}, want: []string{"first meta open", "publish " + name + " from staging"},
			after: []string{"lists " + name + " active", "lines hit.noarch", retired, "log reduced hit-0:1-1.noarch denied"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := listOf("hit", "1-1", withContents("evil", "fine"))
			s := with(state.Settings{}, e)
			deny(s, record.Denial{ID: "d-evil", Digests: []string{contentID("evil")}})
			r := reduction(e)
			if test.change != nil {
				test.change(r)
			}
			basis := s.Basis
			if test.late {
				basis--
			}
			staged := r.Staged
			lines := event(t, s, func() {
				r.Staged = staged
				s.ReplaceReduced([]*Reduction{r}, basis)
			})
			wants(t, lines, test.want...)
			if len(test.after) > 0 {
				s.Begin()
				s.ReplaceReduced([]*Reduction{{Entry: e, Candidate: view.Candidate{}, Harmless: true}}, basis)
				r.Staged = staged
				s.ReplaceReduced([]*Reduction{r}, basis)
				p := s.Seal()
				if r.Staged != (record.Staged{}) {
					t.Error("two want the staged list")
				}
				s.Queue = state.Records{}
				if err := p.Publish[0].Then.Appeared(test.published); err != nil {
					t.Fatal(err)
				}
				got := asked(s, s.Plan)
				got = slices.DeleteFunc(got, func(line string) bool { return strings.HasSuffix(line, "meta open") })
				wants(t, got, test.after...)
			}
			now := s.ByName[name]
			switch {
			case r.Published:
				if !now.Active() || now.Body != r.Body || now.Signer != "signer" || now.Stamp.Ino != 7 || now.Left != 1 || !slices.Equal(now.Denied, []string{"d-sum"}) || now.Counter == e.Counter {
					t.Errorf("it is %+v", now.List)
				}
				if s.Retired[e.Body].Reason != state.RetiredDenied || s.PolicyLine(view.LineOf(e.Package)).Counter != now.Counter {
					t.Errorf("retired %+v, lines %+v", s.Retired, s.Lines)
				}
				wants(t, told(s), "published "+name)
			case r.Out:
				if now.Active() || !now.Suspended() || !slices.Equal(now.Denied, []string{test.denied}) || !strings.Contains(now.Text, test.says) {
					t.Errorf("it is %+v", now.List)
				}
				wants(t, told(s), "withdrawn "+name+" denied")
			case now != e:
				t.Errorf("it is %+v", now.List)
			}
			if r.Out != test.out {
				t.Errorf("out is %v", r.Out)
			}
		})
	}
}

// TestReducedInTransaction: the end of the transaction that brought a list records it.
func TestReducedInTransaction(t *testing.T) {
	e := listOf("hit", "1-1", func(e *view.Entry) { e.Counter, e.Denied, e.Left = 0, []string{"d-z", "d-sum"}, 2 })
	s := with(state.Settings{}, e)
	s.Open[&state.Transaction{Added: map[record.Digest]*state.Addition{e.Header: {}}}] = true
	r := reduction(e)
	wants(t, event(t, s, func() { s.exchanged(r, record.Stamp{Ino: 7}) }))
	if now := s.ByName[e.Name]; now.Body != r.Body || now.Counter != 0 || now.Left != 3 || !slices.Equal(now.Denied, []string{"d-sum", "d-z"}) {
		t.Errorf("it is %+v", now.List)
	}
	if len(s.Retired) != 0 || len(told(s)) != 0 {
		t.Errorf("retired %v", s.Retired)
	}
}
