// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/store/record"
)

// File is a policy file as it was found.
type File struct {
	Name string // without its suffix
	Path string
	Own  bool // it is in the administrator's directory
	Data []byte
	Err  error // why it was not read, or is not the administrator's alone
	// List names the list that has this content under this path, and Body is the digest of
	// what that list held when it was looked into; "" for none.
	List string
	Body record.Digest
}

// Sources are all policy files that there are, and whose packages may bring some.
type Sources struct {
	Files   []File
	Signers []string // fingerprints of certificates, in lower case
	// Err is why a directory could not be read. Its former contents then stay in force.
	Err error
}

// heard is a file that counts, or stands for one that did.
type heard struct {
	record.Policy
	said *fleet.Policy
}

// Adopt takes over what policy files say now, and reports whether that is something else
// than before.
func Adopt(s *grounds.Grounds, src *Sources) (changed bool) {
	unheard := map[string]view.Unheard{}
	there := map[string]bool{} // names of files that count, or leave what was said before in force
	var adopted []heard
	files := slices.Clone(src.Files)
	slices.SortStableFunc(files, func(a, b File) int {
		// Of two files of one name the one that is in force goes on.
		return cmp.Or(cmp.Compare(a.Name, b.Name), preferred(s, b)-preferred(s, a))
	})
	for i := range files {
		f := &files[i]
		if there[f.Name] {
			unheard[f.Name] = view.Unheard{Path: f.Path, Why: "another file has its name: " + s.Policed.Policies[f.Name].Path}
			continue
		}
		h, why := vouched(s, src, f)
		if why != nil {
			if _, first := unheard[f.Name]; !first {
				unheard[f.Name] = *why
			}
			continue
		}
		there[f.Name] = true
		was, known := s.Policed.Policies[f.Name]
		if known && was.Gone.IsZero() && was.Digest == h.Digest && was.Path == h.Path && was.Package == h.Package && was.Key == h.Key {
			delete(unheard, f.Name)
			continue
		}
		if err := understand(s, src, f, h); err != nil {
			unheard[f.Name] = view.Unheard{Path: f.Path, Why: err.Error()}
			if old, before := s.Policed.Unheard[f.Name]; !before || old.Why != err.Error() {
				s.Event(record.Event{Kind: audit.KindPolicyRefused, Package: view.PolicyOrigin(f.Name), Key: h.Key, Reason: err.Error(), Text: f.Path})
				changed = true
			}
			continue
		}
		delete(unheard, f.Name)
		adopted = append(adopted, *h)
	}
	lapsed, dropped := gone(s, src, there, unheard)
	if !maps.Equal(unheard, s.Policed.Unheard) {
		s.Policed.Unheard = unheard
		s.Plan.Show, changed = true, true
	}
	tell(s, src.Err)
	if len(adopted)+len(lapsed)+len(dropped) == 0 {
		return changed
	}
	carryOut(s, adopted, lapsed, dropped)
	return true
}

func preferred(s *grounds.Grounds, f File) int {
	if s.Policed.Policies[f.Name].Path == f.Path {
		return 1
	}
	return 0
}

// vouched returns the record of a file if that counts, or why it does not.
func vouched(s *grounds.Grounds, src *Sources, f *File) (*heard, *view.Unheard) {
	not := func(format string, args ...any) (*heard, *view.Unheard) {
		return nil, &view.Unheard{Path: f.Path, Why: fmt.Sprintf(format, args...)}
	}
	if err := fleet.CheckName(f.Name); err != nil {
		return not("%v", err)
	}
	if f.Err != nil {
		return not("%v", f.Err)
	}
	h := &heard{Policy: record.Policy{Name: f.Name, Path: f.Path, Digest: sha256.Sum256(f.Data), Text: f.Data, Since: s.Now()}}
	if f.Own {
		return h, nil
	}
	if len(src.Signers) == 0 {
		_, why := not("no package may bring policy: policy-signers names no key")
		why.Expected = true
		return nil, why
	}
	e := s.ByName[f.List]
	if e == nil || !e.Active() || e.Body != f.Body || e.Own != "" || e.Grace != "" {
		return not("no active list has it with this content")
	}
	if !slices.Contains(src.Signers, e.Key) {
		return not("its package %s is not signed by one of policy-signers", e.Package)
	}
	h.Package, h.Key = e.Package.Full(), e.Key
	return h, nil
}

// understand reads what a file says and sees whether that may be.
func understand(s *grounds.Grounds, src *Sources, f *File, h *heard) (err error) {
	if h.said, err = fleet.Parse(f.Data, f.Own); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Policed.Said)) {
		if name != f.Name {
			if err := h.said.Conflict(name, s.Policed.Said[name]); err != nil {
				return err
			}
		}
	}
	x := foresee(s, h.said)
	if err := x.refused(s, src, h); err != nil {
		return err
	}
	h.Effect = x.String()
	return nil
}

// gone finds the policies that were in force and whose files do not count any more. The rules
// of lapsed policies that tighten stay; dropped are the policies that an upgrade of their
// package left out.
func gone(s *grounds.Grounds, src *Sources, there map[string]bool, unheard map[string]view.Unheard) (lapsed []heard, dropped []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Policed.Policies)) {
		p := s.Policed.Policies[name]
		if there[name] || !p.Gone.IsZero() || src.Err != nil && unheard[name].Why == "" {
			continue
		}
		u, file := unheard[name]
		if !file && upgraded(s, src, p) {
			dropped = append(dropped, name)
			continue
		}
		p.Gone, p.Why = s.Now(), cmp.Or(u.Why, "the file is gone")
		said := s.Policed.Said[name].Tightening()
		if said.Len() == 0 {
			dropped = append(dropped, name)
			continue
		}
		lapsed = append(lapsed, heard{p, said})
	}
	return lapsed, dropped
}

// upgraded reports whether another version of the package that brought p is there, which
// may bring policy.
func upgraded(s *grounds.Grounds, src *Sources, p record.Policy) bool {
	pkg, err := nevra.Parse(p.Package)
	if p.Package == "" || err != nil {
		return false
	}
	another := false
	for _, e := range s.ByLine[view.LineOf(pkg)] {
		if !e.Active() || e.Grace != "" || e.Own != "" || !slices.Contains(src.Signers, e.Key) {
			continue
		}
		if e.Package == pkg {
			return false
		}
		another = true
	}
	return another
}

// Problem is the ID of the problem about policy files.
const Problem = "policy"

// tell names the files that do not count in one problem.
func tell(s *grounds.Grounds, err error) {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(s.Policed.Unheard)) {
		if u := s.Policed.Unheard[name]; !u.Expected {
			bad = append(bad, u.Path+": "+u.Why)
		}
	}
	text, advice := "", "see digestctl policy show"
	switch {
	case err != nil:
		text, advice = "cannot read all policy files: "+err.Error(), "what was in force stays; fix it, then: digestctl sync"
	case len(bad) == 1:
		text = "a policy file does not count: " + bad[0]
	case len(bad) > 1:
		text = fmt.Sprintf("%d policy files do not count, the first is %s", len(bad), bad[0])
	}
	known := slices.IndexFunc(s.Problems, func(p api.Problem) bool { return p.ID == Problem })
	switch text = api.Clean(text); {
	case text == "" && known >= 0:
		s.Solved(Problem)
	case text != "" && (known < 0 || s.Problems[known].Text != text):
		s.Problem(Problem, api.SeverityWarning, text, advice)
	default:
		return
	}
	s.Plan.Show = true
}
