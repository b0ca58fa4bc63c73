// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// MakeOwn signs and stages a body without the contents that are denied. The staged file is
// durable.
func (h *Host) MakeOwn(stager executor.Stager, body []byte) (l ledger.MadeList, err error) {
	if l.Refs, err = executor.MakeRefs(digestlist.FormatTLV, body, 0); err != nil {
		return l, err
	}
	snap := h.Snapshot()
	m := h.Builder.Load() // after the snapshot, so that its basis is never newer than m
	if l.Basis = snap.Basis; l.Refs.HitBy(snap.Denials.Heads()) {
		paths := l.Refs.Paths // the list keeps its paths without denied contents, too
		if body, l.Omitted, err = build.Omit(nil, digestlist.FormatTLV, body, snap.Denials); err == nil {
			l.Refs, err = executor.MakeRefs(digestlist.FormatTLV, body, 0)
		}
		if err != nil {
			return l, err
		}
		l.Refs.Paths = paths
	}
	l.Files, l.Signer, l.Body = len(l.Refs.Digests), m.OwnSigner(), sha256.Sum256(body)
	var end []byte
	if m.Sign != ledger.SignNone {
		sig, wide, err := m.Identity.Sign(body, l.Body)
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
	if err = h.Dir.SyncStaged(l.Staged); err != nil {
		stager.Discard(&l.Staged)
	}
	return l, err
}

// OpenOwnBody maps the body of an own list. It fails if the file is not the recorded one.
func (h *Host) OpenOwnBody(o record.Own) (mapping, error) {
	f, err := os.Open(ledger.OwnBody(h.Config.State, o))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := MapFile(f)
	if err == nil && record.Digest(sha256.Sum256(m)) != o.Body {
		m.Unmap()
		return nil, fmt.Errorf("%s is not what was recorded", f.Name())
	}
	return m, err
}
