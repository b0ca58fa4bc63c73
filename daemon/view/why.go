// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
)

// WhyUnread says what lists there are for a path, and nothing of the file.
func (s *Snapshot) WhyUnread(w api.Why) api.Why {
	w.Verdict, w.Text = api.VerdictUnread, "digestd reads files only for root"
	w.Advice = "use digestctl why, which reads the file itself, or ask as root"
	ref := PathRef([]byte(w.RealPath))
	for e := range s.Lookup.WithPath(ref) {
		if !e.Refs.HasPath(ref) {
			continue
		}
		if len(w.Lists) >= EnoughLists {
			w.More++
			continue
		}
		w.Lists = append(w.Lists, api.WhyList{List: e.Name, State: string(e.State), NEVRA: e.Package.String(), Key: e.Key,
			KeyOwner: s.KeyOwner(e.Key), Counter: e.Counter, Reason: e.Reason, Text: e.Text, PathMatches: true})
	}
	SortLists(w.Lists)
	if len(w.Lists) > 0 {
		w.Owner, w.OwnerState = w.Lists[0].NEVRA, w.Lists[0].State
	}
	return w
}

// FileSums are a file's digests by the algorithms that lists use.
type FileSums = map[digestlist.Algo][]byte

// EnoughLists is how many lists of a file that is vouched for are read: a licence
// may be in hundreds.
const EnoughLists = 8

// WhyMissing answers for a path where there is no file.
func (s *Snapshot) WhyMissing(w api.Why, path string) api.Why {
	w.Verdict, w.Text = api.VerdictMissing, "there is no such file"
	ref := PathRef([]byte(path))
	for e := range s.Lookup.WithPath(ref) {
		if !e.Refs.HasPath(ref) {
			continue
		}
		w.Owner, w.OwnerState = e.Package.String(), string(e.State)
		w.Text = "there is no such file, but " + w.Owner + " has one"
		w.Advice = "reinstall " + w.Owner
		if own, ok := OwnOf(w.Owner); ok {
			w.Advice = "if it was removed on purpose: digestctl own update " + own
		}
	}
	return w
}

// SortLists puts what vouches first: active lists before others, those that
// have the file under its own path before those that have only its content.
func SortLists(lists []api.WhyList) {
	rank := func(l api.WhyList) int {
		n := 0
		if l.State != api.StateActive {
			n += 4
		}
		if !l.DigestMatches {
			n += 2
		}
		if !l.PathMatches {
			n++
		}
		return n
	}
	slices.SortStableFunc(lists, func(a, b api.WhyList) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.List, b.List))
	})
}

func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
