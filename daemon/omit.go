// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
)

// omit appends the body of a list to dst without what is denied. A list that
// has nothing of it comes back as it is, uncopied.
func omit(dst []byte, format string, body []byte, denials *policy.Denials) ([]byte, omission, error) {
	var o omission
	out, n, err := digestlist.AppendWithout(dst, format, body, func(algo digestlist.Algo, digest, path []byte) bool {
		d := denials.Content(algo, digest)
		if d == nil {
			return false
		}
		o.add(d, path)
		return true
	})
	if n == 0 && err == nil {
		return body, omission{}, nil
	}
	return out, o, err
}

// omit takes what is denied out of the list of c, whose body is in w.
func (m *maker) omit(c *candidate, w *workspace) error {
	if !c.refs.hitBy(w.denials.Heads()) {
		return nil
	}
	body, o, err := omit(nil, m.format, w.body, w.denials)
	c.omitted = o
	switch {
	case errors.Is(err, digestlist.ErrEmpty):
		none := policy.Emptied(c.pkg, *o.by[0], emptied)
		c.none = &none
		return nil // what refers to it stays, to explain by
	case err != nil:
		return err
	case len(o.paths) > 0 && m.sign == signPGP:
		none := policy.Emptied(c.pkg, *o.by[0], "a list that its maker signed cannot leave out a file")
		c.none = &none
		return nil
	}
	if len(o.paths) > 0 {
		c.whole = sha256.Sum256(w.body)
	}
	paths := c.refs.paths
	w.body, c.files = append(w.body[:0], body...), c.files-len(o.paths)
	if c.refs, err = makeRefs(m.format, w.body, c.files); err == nil {
		c.refs.paths = paths // they are the package's all the same
	}
	return err
}

const emptied = "its list would be empty"
