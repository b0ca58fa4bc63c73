// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
)

// Learning makes refused contents part of an own list. It never learns files that others than
// root can write: a user who exchanged the file since the refusal would choose what this
// machine vouches for. Neither is what a package brought with another content, what is
// withheld, or what is denied: somebody decided about that already.

// Finder finds files by paths that have no link on the way; *kernel.Root is one.
type Finder interface {
	FindExact(path string) (*kernel.File, error)
	OpenDir(path string) (*kernel.Dir, error)
}

// maxKept is how many entries a list has at most that is added to: larger ones are made by
// digestctl own add.
const maxKept = 100_000

// foreign are file systems on which others decide what a file contains (statfs(2),
// linux/magic.h).
var foreign = []int64{
	unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
	unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC,
}

// GuardCandidates returns a page of what was refused for no list having it, and whether it may
// be learned.
func (m *Manager) GuardCandidates(ctx context.Context, offset, limit uint32) (page []api.GuardCandidate, total uint32, err error) {
	all, listed, err := m.denials(ctx)
	if err != nil {
		return nil, 0, err
	}
	all = slices.DeleteFunc(all, func(d protocol.Denial) bool { return !d.ByLists() || listed[d.Digest] })
	total = uint32(len(all))
	lo := min(offset, total)
	for _, d := range all[lo : lo+min(limit, total-lo)] {
		c, err := m.candidate(ctx, d)
		if err != nil {
			return nil, 0, err
		}
		page = append(page, c)
	}
	return page, total, nil
}

// candidate says whether a content may be learned, by what can be seen without reading it.
func (m *Manager) candidate(ctx context.Context, d protocol.Denial) (c api.GuardCandidate, err error) {
	var says api.Why
	if c.Denial, says, err = m.explain(ctx, d, false); err != nil {
		return c, err
	}
	file, why := m.find(d.ExactPath())
	if file != nil {
		defer file.Close()
		c.Exists, c.UID, c.Mode = true, file.Stat.Uid, file.Stat.Mode&0o7777
	}
	switch w := c.Denial.Why; {
	case w.Verdict == api.VerdictAltered && why == nil && ownLists(says.Lists):
		c.Learnable, c.Text = true, "the list "+w.Owner+" has different content for it; it can be learned"
	case w.Verdict != api.VerdictUnknown:
		c.Text, c.Advice = w.Text, w.Advice
	case why != nil:
		c.Text, c.Advice = why.Error(), "install it from a package, or copy it to a directory that only root can write to"
	default:
		c.Learnable, c.Text = true, "no package owns it; it can be learned"
	}
	return c, nil
}

// ownLists reports whether none but the owner's own lists have a path.
func ownLists(lists []api.WhyList) bool {
	return !slices.ContainsFunc(lists, func(l api.WhyList) bool {
		_, own := view.OwnOf(l.NEVRA)
		return !own
	})
}

// find finds the file at a path, if nobody but root can put another there. The file may be
// there also with an error that says why it is not to be trusted.
func (m *Manager) find(p string) (*kernel.File, error) {
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p {
		return nil, errors.New("its path is unknown")
	}
	file, err := m.Setup.Files.FindExact(p)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, errors.New("the file no longer exists, or was in a container")
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("its path contains a symbolic link")
	case err != nil:
		return nil, fmt.Errorf("cannot find it: %w", err)
	}
	if kind, err := file.FileSystem(); err != nil || slices.Contains(foreign, kind) {
		return file, errors.New("it is on a shared or remote file system")
	}
	if who := writers(file.Stat.Uid, file.Stat.Mode); who != "" {
		return file, fmt.Errorf("%s can write to it", who)
	}
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		d, err := m.Setup.Files.OpenDir(dir)
		if err != nil {
			return file, fmt.Errorf("cannot look at %s: %w", dir, err)
		}
		who := writers(d.Stat.Uid, d.Stat.Mode)
		d.Close()
		if who != "" {
			return file, fmt.Errorf("%s can write to %s", who, dir)
		}
		if dir == "/" {
			return file, nil
		}
	}
}

// writers names who besides root can write to what has such an owner and mode. With an access
// control list, the mode's bits of the group are the most that anybody gets by it.
func writers(uid, mode uint32) string {
	switch {
	case uid != 0:
		return fmt.Sprintf("user %d", uid)
	case mode&0o002 != 0:
		return "everybody"
	case mode&0o020 != 0:
		return "its group"
	}
	return ""
}

// GuardLearn makes contents that were refused part of an own list. It learns all of them or
// none, and says of the first one that it cannot learn why that is.
func (m *Manager) GuardLearn(ctx context.Context, by api.Actor, name string, digests []string, reason string, report func(stage string, done, total int)) (r api.OwnResult, err error) {
	all, listed, err := m.denials(ctx)
	if err != nil {
		return r, err
	}
	entries := map[string][]byte{} // by path
	for i, digest := range digests {
		report("checking", i, len(digests))
		at := slices.IndexFunc(all, func(d protocol.Denial) bool { return d.Digest == digest && d.ByLists() })
		if at < 0 {
			return r, &api.Error{Code: api.NotFound, Message: "the guard refused no file with digest " + digest + " for lack of a list", Advice: "see digestctl guard denials"}
		}
		if listed[digest] {
			return r, api.Errorf(api.Unchanged, "%s is allowed already", all[at].Path)
		}
		sum, err := m.learn(ctx, all[at])
		if err != nil {
			return r, err
		}
		entries[all[at].ExactPath()] = sum
	}
	req := api.OwnRequest{Name: name, Listed: true, Reason: reason}
	if req.Upload, err = m.upload(ctx, by, &req, entries); err != nil {
		return r, err
	}
	if r, err = m.Setup.Lists.OwnPublish(ctx, by, req, report); err != nil {
		return r, err
	}
	text := fmt.Sprintf("%d contents that the guard refused", len(digests))
	if len(digests) == 1 {
		text = "a content that the guard refused"
	}
	if reason != "" {
		text += ": " + reason
	}
	m.Setup.Record(ctx, record.Event{Kind: audit.KindGuardLearned, Package: "own:" + name, List: r.List, Text: text, UID: by.UID, PID: by.PID, Unit: by.Unit})
	return r, nil
}

// learn returns the digest of a file that may be learned, as it is now.
func (m *Manager) learn(ctx context.Context, d protocol.Denial) ([]byte, error) {
	refused := func(why, advice string) error {
		return &api.Error{Code: api.Failed, Message: "cannot learn " + d.Path + ": " + why, Advice: advice}
	}
	c, err := m.candidate(ctx, d)
	if err != nil {
		return nil, err
	}
	if !c.Learnable {
		return nil, refused(c.Text, c.Advice)
	}
	// Another process reads it: to close a file here would drop digestd's locks on it.
	file, err := m.Setup.Look(ctx, d.ExactPath(), digestlist.SHA256)
	if err != nil {
		return nil, refused(err.Error(), "")
	}
	want, _ := digestOf(d.Digest)
	if file.Kind != look.Regular || !bytes.Equal(file.Digests[digestlist.SHA256], want[:]) {
		return nil, refused("the file at that path has changed since the guard refused it", "see digestctl guard denials")
	}
	return want[:], nil
}

// upload sends the list as it is with entries added, and says in req what it is made of.
func (m *Manager) upload(ctx context.Context, by api.Actor, req *api.OwnRequest, entries map[string][]byte) (uint64, error) {
	groups := map[digestlist.Algo]*digestlist.Group{}
	add := func(algo digestlist.Algo, digest []byte, p string) {
		if groups[algo] == nil {
			groups[algo] = &digestlist.Group{Algo: algo}
		}
		groups[algo].Entries = append(groups[algo].Entries, digestlist.Entry{Digest: digest, Path: p})
	}
	old, err := m.Setup.Lists.Own(ctx, req.Name)
	var missing *api.Error
	switch {
	case errors.As(err, &missing) && missing.Code == api.NotFound:
	case err != nil:
		return 0, err
	case old.State == api.StateRemoved:
	case old.Key != "":
		return 0, &api.Error{Code: api.InvalidArgument, Message: req.Name + " was made and signed elsewhere", Advice: "learn into another list: digestctl guard learn --list NAME"}
	case old.State != api.StateActive:
		return 0, &api.Error{Code: api.Failed, Message: req.Name + " is " + old.State + ": " + old.Text, Advice: "learn into another list: digestctl guard learn --list NAME"}
	default:
		req.Base, req.Sources = old.Version, old.Sources
		if err := m.kept(ctx, old.List, entries, add); err != nil {
			return 0, err
		}
	}
	for p, sum := range entries {
		add(digestlist.SHA256, sum, p)
	}
	var body []digestlist.Group
	for _, algo := range []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512} {
		if g := groups[algo]; g != nil {
			slices.SortFunc(g.Entries, func(a, b digestlist.Entry) int { return strings.Compare(a.Path, b.Path) })
			body = append(body, *g)
		}
	}
	data, err := digestlist.AppendTLV(nil, body)
	if err != nil {
		return 0, err
	}
	var id uint64
	for piece := range slices.Chunk(data, api.MaxUpload) {
		if id, err = m.Setup.Lists.OwnAppend(ctx, by, id, piece); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// kept adds what a list has, but for paths that get another content.
func (m *Manager) kept(ctx context.Context, list string, entries map[string][]byte, add func(digestlist.Algo, []byte, string)) error {
	for offset := uint32(0); ; {
		page, total, err := m.Setup.Lists.Files(ctx, list, offset, api.MaxPage)
		if err != nil {
			return err
		}
		if total > maxKept {
			return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%s has %d entries, too many to add to", list, total), Advice: "learn into another list: digestctl guard learn --list NAME"}
		}
		for _, f := range page {
			p := f.Path
			if len(f.RawPath) > 0 {
				p = string(f.RawPath)
			}
			if _, anew := entries[p]; anew {
				continue
			}
			algo, digest, err := parseFile(f)
			if err != nil {
				return err
			}
			add(algo, digest, p)
		}
		if offset += uint32(len(page)); len(page) == 0 || offset >= total {
			return nil
		}
	}
}

// parseFile returns an entry of a list as it was before it travelled.
func parseFile(f api.File) (digestlist.Algo, []byte, error) {
	for _, algo := range []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512} {
		if algo.String() != f.Algo {
			continue
		}
		digest, err := hex.DecodeString(f.Digest)
		return algo, digest, err
	}
	return 0, nil, fmt.Errorf("cannot add to a list with digests by %s", f.Algo)
}
