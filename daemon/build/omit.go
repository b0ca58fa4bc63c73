// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"errors"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
)

// Omit appends the body of a list to dst without denied contents, and describes what it left
// out. If nothing in the list is denied, it returns body itself, not a copy. If everything is
// denied, the error is [digestlist.ErrEmpty].
func Omit(dst []byte, format string, body []byte, denials *policy.Denials) ([]byte, view.Omission, error) {
	var o view.Omission
	out, n, err := digestlist.AppendWithout(dst, format, body, func(algo digestlist.Algo, digest, path []byte) bool {
		d := denials.Content(algo, digest)
		if d == nil {
			return false
		}
		o.Add(d, path)
		return true
	})
	if n == 0 && err == nil {
		return body, view.Omission{}, nil
	}
	return out, o, err
}

// omit removes denied contents from the list of c, whose body is in w.
func (b *Builder) omit(c *view.Candidate, w *Workspace) error {
	if !c.Refs.HitBy(w.Denials.Heads()) {
		return nil
	}
	body, o, err := Omit(nil, b.Format, w.Body, w.Denials)
	c.Omitted = o
	switch {
	case errors.Is(err, digestlist.ErrEmpty):
		none := policy.Emptied(c.Pkg, *o.By[0], grounds.Emptied)
		c.None = &none
		return nil // Refs keep the denied files, to explain the reason
	case err != nil:
		return err
	case len(o.Paths) > 0 && b.Sign == ledger.SignPGP:
		none := policy.Emptied(c.Pkg, *o.By[0], "cannot remove a file from a list that was signed elsewhere")
		c.None = &none
		return nil
	}
	if len(o.Paths) > 0 {
		c.Whole = sha256.Sum256(w.Body)
	}
	paths := c.Refs.Paths
	w.Body, c.Files = append(w.Body[:0], body...), c.Files-len(o.Paths)
	if c.Refs, err = executor.MakeRefs(b.Format, w.Body, c.Files); err == nil {
		c.Refs.Paths = paths // the package owns its denied files, too
	}
	return err
}
