// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/policy"
	"golang.org/x/sys/unix"
)

// maxHashed bounds the file that a query reads; larger ones are for verify.
const maxHashed = 4 << 30

// Why says whether the file at path is vouched for, by which list, package, key
// and version; or else exactly why not. It reads the file, never the state.
func (d *Daemon) Why(ctx context.Context, by api.Actor, path string) (api.Why, error) {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) || len(path) > unix.PathMax {
		return api.Why{}, api.Errorf(api.InvalidArgument, "%q is no absolute path", path)
	}
	inside := d.insideRoot(path)
	snap := d.snapshot()
	w := api.Why{Path: path, RealPath: inside}
	file, err := d.root.Find(inside, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return snap.whyMissing(w, inside), nil
	case errors.Is(err, kernel.ErrNotRegular):
		w.Verdict, w.Text = api.VerdictNotRegular, "only regular files are vouched for; this is none"
		return w, nil
	case err != nil:
		return w, api.Errorf(api.Failed, "cannot look up %s: %v", path, err)
	}
	defer file.Close()
	real, err := file.Path()
	if err != nil {
		return w, api.Errorf(api.Failed, "cannot look up %s: %v", path, err)
	}
	w.RealPath = d.insideRoot(real)
	if err := mayRead(by, file, real, d.root.Path()); err != nil {
		return w, err
	}
	if w.Label, err = file.Label(); err != nil {
		return w, api.Errorf(api.Failed, "cannot look up %s: %v", path, err)
	}
	sums, err := digestsOf(ctx, file, snap.lookup.hasWide() || snap.denials.Wide())
	if err != nil {
		return w, api.Errorf(api.Failed, "cannot read %s: %v", path, err)
	}
	d.explain(snap, &w, sums)
	return w, nil
}

// insideRoot turns a path as the caller sees it into one inside the root.
func (d *Daemon) insideRoot(path string) string {
	root := strings.TrimSuffix(filepath.Clean(d.config.Root), "/")
	if rest, ok := strings.CutPrefix(filepath.Clean(path), root); ok && (rest == "" || rest[0] == '/') {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return filepath.Clean(path)
}

// mayRead refuses to tell an ordinary user the digest of a file that he could
// not read himself.
func mayRead(by api.Actor, file *kernel.File, real, root string) error {
	if by.UID == 0 || by.UID == uint32(os.Geteuid()) {
		return nil
	}
	ok := file.Stat.Mode&0o004 != 0
	for dir := filepath.Dir(real); ok && len(dir) >= len(root); dir = filepath.Dir(dir) {
		var st unix.Stat_t
		ok = unix.Stat(dir, &st) == nil && st.Mode&0o001 != 0
		if dir == "/" {
			break
		}
	}
	if !ok {
		return &api.Error{Code: api.AccessDenied, Message: "you may not read " + real + " yourself", Advice: "ask as root"}
	}
	return nil
}

// fileSums are a file's digests by the algorithms that lists use.
type fileSums map[digestlist.Algo][]byte

// hashBuffers spares the collector work: queries may come by the thousand.
var hashBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// digestsOf reads the file once. SHA-256 is what nearly all packages carry; the
// others are worked out only if some list has them.
func digestsOf(ctx context.Context, file *kernel.File, wide bool) (fileSums, error) {
	if file.Stat.Size > maxHashed {
		return nil, fmt.Errorf("it has %d bytes, more than a query reads", file.Stat.Size)
	}
	hashes := map[digestlist.Algo]hash.Hash{digestlist.SHA256: sha256.New()}
	if wide {
		hashes[digestlist.SHA384], hashes[digestlist.SHA512] = sha512.New384(), sha512.New()
	}
	buf := hashBuffers.Get().(*[64 << 10]byte)
	defer hashBuffers.Put(buf)
	left := int64(maxHashed) // what the kernel makes up tells no size
	err := file.Content(buf[:], func(piece []byte) error {
		for _, h := range hashes {
			h.Write(piece)
		}
		if left -= int64(len(piece)); left < 0 {
			return fmt.Errorf("it has more than %d bytes, which is all that a query reads", int64(maxHashed))
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	sums := fileSums{}
	for algo, h := range hashes {
		sums[algo] = h.Sum(nil)
	}
	return sums, nil
}

// explain finds the lists that include the file's digest or its path and says
// what the kernel makes of it (digest_cache_lookup): the list the label names,
// or, without a label, every list in the directory.
func (d *Daemon) explain(snap *snapshot, w *api.Why, sums fileSums) {
	w.Algo, w.Digest = digestlist.SHA256.String(), hex.EncodeToString(sums[digestlist.SHA256])
	seen := map[string]bool{}
	vouched := false
	consider := func(e *entry) {
		if seen[e.Name] {
			return
		}
		seen[e.Name] = true
		if vouched && len(w.Lists) >= enoughLists {
			w.More++
			return
		}
		before := len(w.Lists)
		d.considerList(snap, w, e, sums)
		vouched = vouched || len(w.Lists) > before && vouches(w, &w.Lists[before])
	}
	if e := snap.list(w.Label); e != nil && e.refs != nil {
		consider(e)
	}
	for e := range snap.lookup.withPath(pathRef([]byte(w.RealPath))) {
		consider(e)
	}
	for algo := range sums {
		for e := range snap.lookup.withDigest(digestRef(sums[algo])) {
			consider(e)
		}
	}
	sortLists(w.Lists)
	if snap.explainDenied(w, sums) {
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
	d.explainNot(snap, w)
}

// enoughLists is how many lists of a file that is vouched for are read: a licence
// may be in hundreds.
const enoughLists = 8

// vouches reports whether a list that was considered vouches for the file.
func vouches(w *api.Why, l *api.WhyList) bool {
	return l.State == api.StateActive && l.DigestMatches && (w.Label == "" || w.Label == l.List)
}

// errFound ends the search of a list.
var errFound = errors.New("found")

// considerList adds e to the answer if it really has the digest or the path.
func (d *Daemon) considerList(snap *snapshot, w *api.Why, e *entry, sums fileSums) {
	l := api.WhyList{List: e.Name, State: string(e.State), NEVRA: e.Package.String(), Key: e.Key,
		KeyOwner: snap.keyOwner(e.Key), Counter: e.Counter, Reason: e.Reason, Text: e.Text}
	if !e.active() {
		// There is no file to confirm with; a withheld list is only explained.
		l.PathMatches = e.refs.hasPath(pathRef([]byte(w.RealPath)))
		l.DigestMatches = e.refs.hasDigest(digestRef(sums[digestlist.SHA256]))
		if l.PathMatches || l.DigestMatches {
			w.Lists = append(w.Lists, l)
		}
		return
	}
	err := d.eachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		same := string(path) == w.RealPath
		match := string(digest) == string(sums[algo])
		l.PathMatches = l.PathMatches || same
		l.DigestMatches = l.DigestMatches || match
		if match && same {
			w.Algo, w.Digest = algo.String(), hex.EncodeToString(digest)
		}
		if same && !match {
			l.Expected = hex.EncodeToString(digest)
		}
		if same && match {
			return errFound
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
func (d *Daemon) explainNot(snap *snapshot, w *api.Why) {
	w.Verdict = api.VerdictUnknown
	for _, l := range w.Lists {
		switch {
		case l.PathMatches && l.State != api.StateActive:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictWithheld, l.NEVRA, l.State
			if l.Reason == string(policy.ReasonDenied) {
				w.Verdict = api.VerdictDenied
				w.Denial = snap.deniedBy(l.List)
			}
			w.Reasons = append(w.Reasons, fmt.Sprintf("the list of %s is %s: %s", l.NEVRA, l.State, l.Text))
		case l.DigestMatches && l.State == api.StateActive:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictLabel, l.NEVRA, l.State
			w.Reasons = append(w.Reasons, fmt.Sprintf("list %s has this content, but the file is bound to %s", l.List, w.Label))
		case l.PathMatches:
			w.Verdict, w.Owner, w.OwnerState = api.VerdictAltered, l.NEVRA, l.State
			w.Reasons = append(w.Reasons, fmt.Sprintf("%s has this path with another content (%s)", l.NEVRA, l.Expected))
		}
	}
	if w.Label != "" && !snap.isActive(w.Label) {
		w.Reasons = append(w.Reasons, fmt.Sprintf("the file is bound to list %s, which is not in the directory", w.Label))
		if w.Verdict == api.VerdictUnknown {
			w.Verdict = api.VerdictLabel
		}
	}
	switch w.Verdict {
	case api.VerdictDenied:
		w.Text = "not vouched for: its package is denied"
		if d := snap.denials.ByID(w.Denial); d != nil {
			w.Text, w.Advice = "not vouched for: "+w.Owner+" is "+d.Because(), d.Lift()
		}
	case api.VerdictWithheld:
		w.Text = "not vouched for: the list of " + w.Owner + " is withheld"
		w.Advice = "see digestctl show " + w.Owner
	case api.VerdictAltered:
		w.Text = "not vouched for: altered since " + w.Owner + " was installed"
		w.Advice = "if nobody meant to change it, reinstall " + w.Owner
		if own, ok := ownOf(w.Owner); ok {
			w.Advice = "if you meant to change it: digestctl own update " + own
		}
	case api.VerdictLabel:
		w.Text = "not vouched for: bound to a list that does not include it"
		w.Advice = "reinstall the package that owns it"
	default:
		w.Text = "not vouched for: no list includes it"
		w.Reasons = append(w.Reasons, "no package that is installed has this path or this content")
		w.Advice = "install it from a signed package"
	}
}

// whyMissing answers for a path where there is no file.
func (s *snapshot) whyMissing(w api.Why, path string) api.Why {
	w.Verdict, w.Text = api.VerdictMissing, "there is no such file"
	ref := pathRef([]byte(path))
	for e := range s.lookup.withPath(ref) {
		if !e.refs.hasPath(ref) {
			continue
		}
		w.Owner, w.OwnerState = e.Package.String(), string(e.State)
		w.Text = "there is no such file, though " + w.Owner + " has one"
		w.Advice = "reinstall " + w.Owner
		if own, ok := ownOf(w.Owner); ok {
			w.Advice = "if it is to be gone: digestctl own update " + own
		}
	}
	return w
}

// sortLists puts what vouches first: active lists before others, those that
// have the file under its own path before those that have only its content.
func sortLists(lists []api.WhyList) {
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
