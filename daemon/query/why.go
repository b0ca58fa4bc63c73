// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"golang.org/x/sys/unix"
)

// Why says whether the file at path is vouched for, by which list, package, key
// and version; or else exactly why not. For root a process of its own reads the
// file. Others learn what the lists say of the path: whether there is a file, where
// links lead and what it contains is for them to find out with their own rights
// ([Query.WhyContent]).
func (q *Query) Why(ctx context.Context, by api.Actor, path string) (api.Why, error) {
	if err := checkPath(path); err != nil {
		return api.Why{}, err
	}
	snap := q.Snapshot()
	w := api.Why{Path: path, RealPath: q.InsideRoot(path)}
	if !by.Privileged() {
		return snap.WhyUnread(w), nil
	}
	algos := []digestlist.Algo{digestlist.SHA256}
	if snap.Lookup.HasWide() || snap.Denials.Wide() {
		algos = append(algos, digestlist.SHA384, digestlist.SHA512)
	}
	file, err := q.looks.At(ctx, w.RealPath, algos...)
	if err != nil {
		return w, err
	}
	switch file.Kind {
	case look.Missing:
		return snap.WhyMissing(w, w.RealPath), nil
	case look.NotRegular:
		w.Verdict, w.Text = api.VerdictNotRegular, "only regular files are vouched for; this is none"
		return w, nil
	case look.MadeUp:
		w.Verdict, w.Text = api.VerdictNotRegular, "only files on disks are vouched for; the kernel makes this one up"
		return w, nil
	}
	w.RealPath, w.Label = q.InsideRoot(string(file.Real)), file.Label
	q.explain(snap, &w, file.Digests)
	return w, nil
}

// WhyContent says the same of a file that the caller looked at: nothing is opened.
// What the caller says of the file is believed for the answer, which is the
// caller's alone. Of the digests only that by SHA-256 must be there; where a list has
// another for the path, the verdict without it is [api.VerdictUnread].
func (q *Query) WhyContent(_ context.Context, path string, c api.Content) (api.Why, error) {
	if err := errors.Join(checkPath(path), checkPath(cmp.Or(c.RealPath, path))); err != nil {
		return api.Why{}, err
	}
	snap := q.Snapshot()
	w := api.Why{Path: path, RealPath: q.InsideRoot(cmp.Or(c.RealPath, path)), Label: c.Label}
	if !c.Found {
		w.Label = ""
		return snap.WhyMissing(w, w.RealPath), nil
	}
	sums := view.FileSums{}
	for algo, sum := range map[digestlist.Algo][]byte{digestlist.SHA256: c.SHA256, digestlist.SHA384: c.SHA384, digestlist.SHA512: c.SHA512} {
		switch {
		case len(sum) == algo.Size():
			sums[algo] = sum
		case len(sum) > 0 || algo == digestlist.SHA256:
			return w, api.Errorf(api.InvalidArgument, "a digest by %s has %d bytes, not %d", algo, algo.Size(), len(sum))
		}
	}
	q.explain(snap, &w, sums)
	return w, nil
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) || len(path) > unix.PathMax {
		return api.Errorf(api.InvalidArgument, "%q is no absolute path", path)
	}
	return nil
}

// explain finds the lists that include the file's digest or its path and says
// what the kernel makes of it (digest_cache_lookup): the list the label names,
// or, without a label, every list in the directory.
func (q *Query) explain(snap *view.Snapshot, w *api.Why, sums view.FileSums) {
	w.Algo, w.Digest = digestlist.SHA256.String(), hex.EncodeToString(sums[digestlist.SHA256])
	seen := map[string]bool{}
	vouched := false
	consider := func(e *view.Entry) {
		if seen[e.Name] {
			return
		}
		seen[e.Name] = true
		if vouched && len(w.Lists) >= view.EnoughLists {
			w.More++
			return
		}
		before := len(w.Lists)
		q.considerList(snap, w, e, sums)
		vouched = vouched || len(w.Lists) > before && vouches(w, &w.Lists[before])
	}
	if e := snap.List(w.Label); e != nil && e.Refs != nil {
		consider(e)
	}
	for e := range snap.Lookup.WithPath(view.PathRef([]byte(w.RealPath))) {
		consider(e)
	}
	for algo := range sums {
		for e := range snap.Lookup.WithDigest(view.DigestRef(sums[algo])) {
			consider(e)
		}
	}
	view.SortLists(w.Lists)
	if snap.ExplainDenied(w, sums) {
		return
	}
	for i := range w.Lists {
		if l := &w.Lists[i]; vouches(w, l) {
			w.Vouched, w.Verdict = true, api.VerdictVouched
			w.Owner, w.OwnerState = l.NEVRA, l.State
			w.Text = fmt.Sprintf("vouched for by %s, list %s", l.NEVRA, l.List)
			return
		}
	}
	q.explainNot(snap, w)
}

// vouches reports whether a list that was considered vouches for the file.
func vouches(w *api.Why, l *api.WhyList) bool {
	return l.State == api.StateActive && l.DigestMatches && (w.Label == "" || w.Label == l.List)
}

// errFound ends the search of a list.
var errFound = errors.New("found")

// considerList adds e to the answer if it really has the digest or the path.
func (q *Query) considerList(snap *view.Snapshot, w *api.Why, e *view.Entry, sums view.FileSums) {
	l := api.WhyList{List: e.Name, State: string(e.State), NEVRA: e.Package.String(), Key: e.Key,
		KeyOwner: snap.KeyOwner(e.Key), Counter: e.Counter, Reason: e.Reason, Text: e.Text}
	if !e.Active() {
		// There is no file to confirm with; a withheld list is only explained.
		l.PathMatches = e.Refs.HasPath(view.PathRef([]byte(w.RealPath)))
		l.DigestMatches = e.Refs.HasDigest(view.DigestRef(sums[digestlist.SHA256]))
		if l.PathMatches || l.DigestMatches {
			w.Lists = append(w.Lists, l)
		}
		return
	}
	err := q.EachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		sum, given := sums[algo]
		same := string(path) == w.RealPath
		match := given && string(digest) == string(sum)
		l.PathMatches = l.PathMatches || same
		l.DigestMatches = l.DigestMatches || match
		switch {
		case same && match:
			w.Algo, w.Digest = algo.String(), hex.EncodeToString(digest)
			return errFound
		case same && given:
			l.Expected = hex.EncodeToString(digest)
		case same:
			w.Reasons = append(w.Reasons, fmt.Sprintf("list %s has a digest by %s for this path, and the question gives none to compare", e.Name, algo))
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		w.Reasons = append(w.Reasons, fmt.Sprintf("list %s cannot be read: %v", e.Name, err))
		return
	}
	if l.PathMatches || l.DigestMatches {
		w.Lists = append(w.Lists, l)
	}
}

// explainNot says why no list vouches for the file.
func (q *Query) explainNot(snap *view.Snapshot, w *api.Why) {
	w.Verdict = api.VerdictUnknown
	for _, l := range w.Lists {
		switch {
		case l.PathMatches && l.State != api.StateActive:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictWithheld, l.NEVRA, l.State
			if l.Reason == string(policy.ReasonDenied) {
				w.Verdict = api.VerdictDenied
				w.Denial = snap.DeniedBy(l.List)
			}
			w.Reasons = append(w.Reasons, fmt.Sprintf("the list of %s is %s: %s", l.NEVRA, l.State, l.Text))
		case l.DigestMatches && l.State == api.StateActive:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictLabel, l.NEVRA, l.State
			w.Reasons = append(w.Reasons, fmt.Sprintf("list %s has this content, but the file is bound to %s", l.List, w.Label))
		case l.PathMatches && l.Expected == "": // there was nothing to compare by
			w.Verdict, w.Owner, w.OwnerState = api.VerdictUnread, l.NEVRA, l.State
		case l.PathMatches && w.Verdict != api.VerdictUnread:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictAltered, l.NEVRA, l.State
			w.Reasons = append(w.Reasons, fmt.Sprintf("%s has this path with another content (%s)", l.NEVRA, l.Expected))
		}
	}
	if w.Label != "" && !snap.IsActive(w.Label) {
		w.Reasons = append(w.Reasons, fmt.Sprintf("the file is bound to list %s, which is not in the directory", w.Label))
		if w.Verdict == api.VerdictUnknown {
			w.Verdict = api.VerdictLabel
		}
	}
	switch w.Verdict {
	case api.VerdictDenied:
		w.Text = "not vouched for: its package is denied"
		if d := snap.Denials.ByID(w.Denial); d != nil {
			w.Text, w.Advice = "not vouched for: "+w.Owner+" is "+d.Because(), d.Lift()
		}
	case api.VerdictWithheld:
		w.Text = "not vouched for: the list of " + w.Owner + " is withheld"
		w.Advice = "see digestctl show " + w.Owner
	case api.VerdictAltered:
		w.Text = "not vouched for: altered since " + w.Owner + " was installed"
		w.Advice = "if nobody meant to change it, reinstall " + w.Owner
		if own, ok := view.OwnOf(w.Owner); ok {
			w.Advice = "if you meant to change it: digestctl own update " + own
		}
	case api.VerdictUnread:
		w.Text = "not known: the list of " + w.Owner + " has a digest of it by another algorithm"
		w.Advice = "give its digests by sha384 and sha512 too"
	case api.VerdictLabel:
		w.Text = "not vouched for: bound to a list that does not include it"
		w.Advice = "reinstall the package that owns it"
	default:
		w.Text = "not vouched for: no list includes it"
		w.Reasons = append(w.Reasons, "no package that is installed has this path or this content")
		w.Advice = "install it from a signed package"
	}
}
