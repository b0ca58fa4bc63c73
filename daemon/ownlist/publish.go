// SPDX-License-Identifier: Apache-2.0

package ownlist

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
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// OwnPublish makes what was uploaded the active version of an own list: checked,
// signed by this machine's key, published and bound to its files.
//
// A caller who may do that may vouch for any content. So the digests are the caller's
// word, and the caller hashes: it can read what this daemon, confined, does not see, and
// the time is its own.
//
// [api.NotFound] says that the upload is not the caller's, [api.InvalidArgument] that the
// list cannot be used, [api.Busy] that it was changed since the request was made, and
// [api.Failed] that its content may not come back. report hears of the stages. If files
// could not be labelled, the error comes with the result: the list is active.
func (ol *Keeper) OwnPublish(ctx context.Context, by api.Actor, req api.OwnRequest, report func(stage string, done, total int)) (r api.OwnResult, err error) {
	started := time.Now()
	file, err := ol.uploads.take(by, req.Upload)
	if err != nil {
		return r, err
	}
	defer func() {
		file.Close()
		ol.Exec.Hooks.Bodies.Remove(file.Name()) // unless it became the list's
	}()
	if _, err := digestlist.OwnName(req.Name); err != nil {
		return r, api.Errorf(api.InvalidArgument, "%v", err)
	}
	ol.mu.Lock()
	defer ol.mu.Unlock()
	data, err := host.MapFile(file)
	if err != nil {
		return r, api.Errorf(api.InvalidArgument, "cannot read the list: %v", err)
	}
	defer data.Unmap()

	report("checking", 0, 0)
	c, body, err := ol.candidate(ctx, req, file, data)
	if err != nil {
		return r, err
	}
	if same, done := ol.unchangedOwn(ctx, by, c); done {
		same.Duration = time.Since(started)
		return same, nil
	}
	if c.Keep, err = keepBody(file, data, body); err != nil {
		return r, err
	}
	report("signing", 0, 0)
	if err := ol.enroller.ReachSigner(ctx); err != nil {
		return r, err
	}
	before := ol.Snapshot().Own[req.Name]
	if r, err = ol.makeAndPublish(ctx, by, c, body, report); err != nil {
		return r, err
	}
	err = ol.labels.BindOwn(ctx, r.List, c.Record.Key != "", body, &r, report)
	if former := ledger.OwnBody(ol.Config.State, before); before.Version > 0 && before.Removed.IsZero() && former != ledger.OwnBody(ol.Config.State, ol.Snapshot().Own[req.Name]) {
		if old, oerr := ol.OpenOwnBody(before); oerr == nil {
			freed := api.OwnResult{}
			err = errors.Join(err, ol.labels.FreeFiles(ctx, &view.Entry{List: record.List{Name: r.List}}, old, body, &freed, report))
			old.Unmap()
		}
		ol.Exec.Hooks.Bodies.Remove(former)
	}
	r.Duration = time.Since(started)
	return r, err
}

// candidate reads the list that a request brings, and checks that it can be used.
func (ol *Keeper) candidate(ctx context.Context, req api.OwnRequest, file *os.File, data []byte) (c *ledger.OwnCandidate, body []byte, err error) {
	c = &ledger.OwnCandidate{Request: req, Keep: file.Name(), Record: record.Own{Name: req.Name, Listed: req.Listed}}
	for _, src := range req.Sources {
		c.Record.Sources = append(c.Record.Sources, sourceBytes(src))
	}
	body = data
	if req.Import {
		if body, err = ol.openImport(c, data); err != nil {
			return nil, nil, err
		}
	}
	if err := checkOwn(ctx, body); err != nil {
		return nil, nil, err
	}
	c.Record.Body = sha256.Sum256(body)
	return c, body, nil
}

// makeAndPublish makes the signed list of a body and publishes it, and does so again while
// the denials change in between.
func (ol *Keeper) makeAndPublish(ctx context.Context, by api.Actor, c *ledger.OwnCandidate, body []byte, report func(stage string, done, total int)) (r api.OwnResult, err error) {
	stager := ol.Dir.Stager("own" + strconv.FormatUint(ol.Serial.Add(1), 36))
	defer func() { ol.Dir.Discard(c.Made.Staged) }()
	for {
		ol.Dir.Discard(c.Made.Staged)
		c.Made, err = ol.MakeOwn(stager, body)
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
		if err = ol.Dir.CheckPath(); err != nil {
			return r, err
		}
		staged := c.Made.Staged
		var refused error
		err = ol.Exec.Decide(ctx, "own", func(s *ledger.Ledger) (err error) {
			r, refused, err = s.PublishOwn(c, by)
			return err
		})
		if err != nil {
			ol.Dir.Discard(staged)
		} else {
			err = refused
		}
		if !errors.Is(err, ledger.ErrAgain) {
			return r, err
		}
	}
}

// unchangedOwn reports that a list is active with this very content, after taking
// over what else the request says.
func (ol *Keeper) unchangedOwn(ctx context.Context, by api.Actor, c *ledger.OwnCandidate) (r api.OwnResult, done bool) {
	err := ol.Exec.Decide(ctx, "own", func(s *ledger.Ledger) error {
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
			return fmt.Errorf("entry %d has the path %q: want an absolute path", n, p)
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
