// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// An own list goes through the same policy as a package: it is the package
// "own:NAME", which no real one can be called, and its counter is the version.

// ownSigner names the certificate by which m signs own lists: the machine's, also
// where packages bring their own signature.
func (m *maker) ownSigner() string {
	if m.sign == ledger.SignNone {
		return m.sign
	}
	return m.identity.skid()
}

// makeOwn signs and stages a body, without what is denied.
func (h *Host) makeOwn(stager executor.Stager, body []byte) (l ledger.MadeList, err error) {
	if l.Refs, err = executor.MakeRefs(digestlist.FormatTLV, body, 0); err != nil {
		return l, err
	}
	snap := h.snapshot()
	m := h.maker.Load() // after the snapshot, so that its basis is never newer than m
	if l.Basis = snap.Basis; l.Refs.HitBy(snap.Denials.Heads()) {
		paths := l.Refs.Paths // they are the list's all the same
		if body, l.Omitted, err = omit(nil, digestlist.FormatTLV, body, snap.Denials); err == nil {
			l.Refs, err = executor.MakeRefs(digestlist.FormatTLV, body, 0)
		}
		if err != nil {
			return l, err
		}
		l.Refs.Paths = paths
	}
	l.Files, l.Signer, l.Body = len(l.Refs.Digests), m.ownSigner(), sha256.Sum256(body)
	var end []byte
	if m.sign != ledger.SignNone {
		sig, wide, err := m.identity.sign(body, l.Body)
		if err != nil {
			return l, fmt.Errorf("cannot sign list: %w", err)
		}
		end = digestlist.AppendSignature(nil, nil, sig, digestlist.SigPKCS7)
		l.Wide = wide
	}
	sum := sha256.New()
	sum.Write(body)
	sum.Write(end)
	sum.Sum(l.File[:0])
	if l.Staged, err = stager.Write(body, end); err != nil {
		return l, fmt.Errorf("cannot write list: %w", err)
	}
	if err = h.dir.SyncStaged(l.Staged); err != nil {
		stager.Discard(&l.Staged)
	}
	return l, err
}

// openOwnBody maps the body of an own list, if it is still what was recorded.
func (h *Host) openOwnBody(o record.Own) (mapping, error) {
	f, err := os.Open(ledger.OwnBody(h.config.State, o))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := mapFile(f)
	if err == nil && record.Digest(sha256.Sum256(m)) != o.Body {
		m.unmap()
		return nil, fmt.Errorf("%s is not what was recorded", f.Name())
	}
	return m, err
}

// OwnRemove removes an own list, and frees the files that were bound to it.
func (ol *OwnLists) OwnRemove(ctx context.Context, by api.Actor, name, reason string, report func(stage string, done, total int)) (api.OwnResult, error) {
	started := time.Now()
	ol.mu.Lock()
	defer ol.mu.Unlock()
	o := ol.snapshot().Own[name]
	body, bodyErr := ol.openOwnBody(o)
	defer body.unmap()
	var gone *view.Entry
	err := ol.exec.Decide(ctx, "disown", func(s *ledger.Ledger) (err error) {
		gone, err = s.RemoveOwn(name, by, reason)
		return err
	})
	r := api.OwnResult{Name: name, Version: o.Version}
	if gone != nil {
		r.List, r.Files = gone.Name, gone.Files
	}
	if err != nil {
		return r, err
	}
	if bodyErr == nil {
		err = ol.labels.freeFiles(ctx, gone, body, nil, &r, report)
	}
	os.Remove(ledger.OwnBody(ol.config.State, o))
	r.Duration = time.Since(started)
	return r, err
}
