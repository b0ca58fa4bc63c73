// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// OwnPublish makes what was uploaded the active version of an own list: checked,
// signed by this machine's key, published and bound to its files.
//
// Whoever may do that may vouch for any content. So the digests are the caller's
// word, and the caller hashes: who can read what this daemon, confined, does not
// see, and whose time it is.
func (ol *OwnLists) OwnPublish(ctx context.Context, by api.Actor, req api.OwnRequest, report func(stage string, done, total int)) (r api.OwnResult, err error) {
	started := time.Now()
	file, err := ol.uploads.take(by, req.Upload)
	if err != nil {
		return r, err
	}
	defer func() {
		file.Close()
		os.Remove(file.Name()) // unless it became the list's
	}()
	if _, err := digestlist.OwnName(req.Name); err != nil {
		return r, api.Errorf(api.InvalidArgument, "%v", err)
	}
	ol.mu.Lock()
	defer ol.mu.Unlock()
	data, err := mapFile(file)
	if err != nil {
		return r, api.Errorf(api.InvalidArgument, "cannot read the list: %v", err)
	}
	defer data.unmap()

	report("checking", 0, 0)
	c := &ledger.OwnCandidate{Request: req, Keep: file.Name(), Record: record.Own{Name: req.Name, Listed: req.Listed}}
	for _, src := range req.Sources {
		c.Record.Sources = append(c.Record.Sources, sourceBytes(src))
	}
	body := []byte(data)
	if req.Import {
		if body, err = ol.openImport(c, data); err != nil {
			return r, err
		}
	}
	if err := checkOwn(ctx, body); err != nil {
		return r, err
	}
	c.Record.Body = sha256.Sum256(body)
	if same, done := ol.unchangedOwn(ctx, by, c); done {
		same.Duration = time.Since(started)
		return same, nil
	}
	if c.Keep, err = keepBody(file, data, body); err != nil {
		return r, err
	}
	report("signing", 0, 0)
	if err := ol.enroller.reachSigner(ctx); err != nil {
		return r, err
	}
	stager := ol.dir.Stager("own" + strconv.FormatUint(ol.serial.Add(1), 36))
	before := ol.snapshot().Own[req.Name]
	defer func() { ol.dir.Discard(c.Made.Staged) }()
	for done := false; !done; {
		ol.dir.Discard(c.Made.Staged)
		c.Made, err = ol.makeOwn(stager, body)
		if errors.Is(err, digestlist.ErrEmpty) {
			return r, &api.Error{Code: api.InvalidArgument, Message: "everything in the list is denied: " + c.Made.Omitted.By[0].Because(), Advice: "see digestctl deny list"}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return r, err
		}
		report("publishing", 0, 0)
		if err = ol.dir.CheckPath(); err != nil {
			return r, err
		}
		staged := c.Made.Staged
		var refused error
		err = ol.exec.Decide(ctx, "own", func(s *ledger.Ledger) (err error) {
			r, refused, err = s.PublishOwn(c, by)
			return err
		})
		if err != nil {
			ol.dir.Discard(staged)
		} else {
			err = refused
		}
		if done = !errors.Is(err, ledger.ErrAgain); done && err != nil {
			return r, err
		}
	}
	err = ol.labels.bindOwn(ctx, r.List, c.Record.Key != "", body, &r, report)
	if before.Version > 0 && before.Removed.IsZero() && ledger.OwnBody(ol.config.State, before) != ledger.OwnBody(ol.config.State, ol.snapshot().Own[req.Name]) {
		if old, oerr := ol.openOwnBody(before); oerr == nil {
			freed := api.OwnResult{}
			err = errors.Join(err, ol.labels.freeFiles(ctx, &view.Entry{List: record.List{Name: r.List}}, old, body, &freed, report))
			old.unmap()
		}
		os.Remove(ledger.OwnBody(ol.config.State, before))
	}
	r.Duration = time.Since(started)
	return r, err
}

// unchangedOwn reports that a list is active with this very content, after taking
// over what else the request says.
func (ol *OwnLists) unchangedOwn(ctx context.Context, by api.Actor, c *ledger.OwnCandidate) (r api.OwnResult, done bool) {
	err := ol.exec.Decide(ctx, "own", func(s *ledger.Ledger) error {
		o, e := s.Own[c.Record.Name], s.OwnEntry(c.Record.Name)
		if e == nil || !e.Active() || e.Broken || e.Change != "" || o.Body != c.Record.Body || o.Key != c.Record.Key {
			return nil
		}
		act, err := ledger.Act(s, by, c.Request.Reason)
		if err != nil {
			return err
		}
		o.Sources, o.Listed, o.Changed = c.Record.Sources, c.Record.Listed, act
		s.SetOwn(o)
		r = api.OwnResult{Name: o.Name, List: e.Name, Version: e.Version, Files: e.Files, Unchanged: true}
		done = true
		return nil
	})
	return r, done && err == nil
}

// checkOwn refuses a list that could not be used, or not be understood later. Its
// paths are the caller's, but they must be paths.
func checkOwn(ctx context.Context, body []byte) error {
	n := 0
	err := digestlist.WalkTLV(body, func(algo digestlist.Algo, _, p []byte) error {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case algo != digestlist.SHA256 && algo != digestlist.SHA384 && algo != digestlist.SHA512:
			return fmt.Errorf("entry %d has a %s digest: want sha256, sha384 or sha512", n, algo)
		case len(p) == 0 || p[0] != '/' || path.Clean(string(p)) != string(p):
			return fmt.Errorf("entry %d has %q for a path: want an absolute one", n, p)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("cannot use the list: %v", err), Advice: "check it: digestctl format check FILE"}
	}
	return err
}

// keepBody leaves body alone in a file, durably, and returns its path.
func keepBody(file *os.File, data, body []byte) (string, error) {
	var err error
	if &body[0] != &data[0] {
		_, err = file.WriteAt(body, 0)
	}
	if err == nil && len(body) != len(data) {
		err = file.Truncate(int64(len(body)))
	}
	if err == nil {
		err = unix.Fdatasync(int(file.Fd()))
	}
	if err != nil {
		return "", fmt.Errorf("cannot keep list: %w", err)
	}
	return file.Name(), nil
}

func sourceBytes(s api.OwnSource) []byte {
	if len(s.RawPath) > 0 {
		return s.RawPath
	}
	return []byte(s.Path)
}

// bindOwn labels the files of an own list, but for those that the list of a
// package has, under their path and with their content: these stay bound to it.
func (l *Labels) bindOwn(ctx context.Context, list string, imported bool, body []byte, r *api.OwnResult, report func(stage string, done, total int)) error {
	if !l.config.Labels {
		return nil
	}
	snap := l.snapshot()
	var left []leftFile
	n := 0
	err := digestlist.WalkTLV(body, func(algo digestlist.Algo, digest, p []byte) error {
		if n++; n%1024 == 0 {
			report("labelling", n, r.Files)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if snap.PackageHas(digest, p) {
			r.Kept++
			return nil
		}
		f, err := l.findOwned(p, imported)
		if err != nil {
			if missing(err) {
				r.Missing++
				return nil
			}
			left = append(left, leftFile{string(p), err})
			return nil
		}
		defer f.Close()
		label, err := f.Label()
		switch {
		case err == nil && label == list:
			err = f.RenewLabel(list) // the kernel must not go by what the list said before
		case err == nil:
			if err = l.holds(ctx, f, algo, digest); err == nil {
				err = f.SetLabel(list)
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errOtherContent):
			r.Missing++ // somebody changed or exchanged it since it was hashed
		case errors.Is(err, unix.EACCES) && label == "":
			r.Unlabelled++ // digestd may not read it, and so cannot compare
		case unlabelled(err) && label == "":
			r.Unlabelled++ // without one, the kernel looks into every list
		case err != nil:
			left = append(left, leftFile{string(p), err})
		case label != list:
			r.Labelled++
		}
		return nil
	})
	l.leaveLabels(left)
	if err != nil {
		return fmt.Errorf("the list is published, but its files are not all labelled: %w", err)
	}
	report("labelling", r.Files, r.Files)
	return nil
}

// missing reports whether a path leads to nothing that has a label.
func missing(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, kernel.ErrNotRegular) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENAMETOOLONG)
}

// unlabelled reports whether a file cannot have a label where it lies.
func unlabelled(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM)
}

// freeFiles takes the label of a list from files that it no longer has: those of
// body that are not in now. Where another list has the path, they are bound to it.
func (l *Labels) freeFiles(ctx context.Context, gone *view.Entry, body, now []byte, r *api.OwnResult, report func(stage string, done, total int)) error {
	if !l.config.Labels {
		return nil
	}
	kept := map[uint64]bool{}
	if now != nil {
		digestlist.WalkTLV(now, func(_ digestlist.Algo, _, p []byte) error {
			kept[view.PathRef(p)] = true
			return nil
		})
	}
	snap := l.snapshot()
	var left []leftFile
	defer func() { l.leaveLabels(left) }()
	n := 0
	return digestlist.WalkTLV(body, func(_ digestlist.Algo, digest, p []byte) error {
		if n++; n%1024 == 0 {
			report("unlabelling", n, gone.Files)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if kept[view.PathRef(p)] {
			return nil
		}
		f, err := l.root.Find(string(p), false)
		if err != nil {
			return nil // gone, or nothing that has a label
		}
		defer f.Close()
		if label, err := f.Label(); err != nil || label != gone.Name {
			return nil
		}
		err = f.RemoveLabel()
		if heir := snap.Heir(gone.Name, digest, p); heir != "" {
			err = f.SetLabel(heir)
		}
		if err != nil {
			left = append(left, leftFile{string(p), err})
			return nil
		}
		r.Labelled++
		return nil
	})
}
