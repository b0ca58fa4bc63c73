// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"slices"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// look reads of the directory what the state is to compare, and changes nothing. What
// bears the stamp that it was published with is left out.
func (x *executor) look(all []expected) (found []seen) {
	var buf []byte
	for _, e := range all {
		stamp, err := x.dir.Stat(e.name)
		if err == nil && e.entry != nil && stamp == e.entry.Stamp {
			continue
		}
		found = append(found, x.see(e, stamp, err, &buf))
	}
	return found
}

func (x *executor) see(e expected, stamp record.Stamp, err error, buf *[]byte) seen {
	v := seen{expected: e, stamp: stamp, missing: errors.Is(err, fs.ErrNotExist)}
	if err != nil {
		v.err = err
		return v
	}
	if e.entry == nil || !stamp.Regular || stamp.Links != 1 {
		if v.size, err = x.dir.Size(e.name, maxAsideBytes); err != nil {
			v.err = err
			return v
		}
	}
	if !stamp.Regular {
		return v
	}
	data, err := x.dir.Read(e.name, *buf)
	var system *fs.PathError
	switch {
	case errors.As(err, &system):
		v.read = err
		return v
	case err != nil:
		v.odd, v.size = err.Error(), stamp.Size
		return v
	}
	*buf = data
	v.size = stamp.Size
	v.file = sha256.Sum256(data)
	content, sig, kind, err := digestlist.SplitSignature(data)
	if err != nil {
		content = data
	}
	if e.entry != nil && v.file == e.entry.File {
		if e.entry.Refs == nil {
			if format, _, ferr := formatOf(e.name); ferr == nil {
				v.refs, _ = makeRefs(format, content, e.entry.Files)
			}
		}
		return v
	}
	v.body = sha256.Sum256(content)
	v.torn = torn(e.name, data)
	if err == nil && kind == digestlist.SigPKCS7 {
		_, err = digestlist.VerifyPKCS7(content, sig, x.state.ownCertificates())
		v.signed = err == nil
	}
	return v
}

// inspect looks at these names, or at every list that is active if names is nil, and
// puts right what can be.
func (x *executor) inspect(names map[string]bool) (d done, err error) {
	s := x.state
	if err := x.dir.CheckPath(); err != nil {
		d, _ := x.step("inspect", false, func(s *state) error {
			s.pathChecked(err)
			return nil
		})
		return d, err
	}
	var all []expected
	var gone []string
	if names == nil {
		all = s.lists()
		for _, a := range s.asides {
			if !x.dir.InQuarantine(a.Name) {
				gone = append(gone, a.Name)
			}
		}
	}
	for name := range names {
		all = append(all, s.expects(name))
	}
	found := x.look(all)
	return x.step("inspect", false, func(s *state) error {
		if names == nil {
			s.asidesGone(gone)
		}
		s.inspected(found)
		return nil
	})
}

// strangers looks for what lies in the directory and is not expected there, and has it
// set aside or removed. It returns how many were set aside.
func (x *executor) strangers() (aside int, d done, err error) {
	found, err := x.unexpected()
	if err != nil || len(found) == 0 {
		return 0, d, err
	}
	d, err = x.step("inspect", false, func(s *state) error {
		aside = s.inspected(found)
		return nil
	})
	return aside, d, err
}

// unexpected looks at what lies in the directory and is not expected there.
func (x *executor) unexpected() ([]seen, error) {
	names, err := x.dir.Names()
	if err != nil {
		return nil, err
	}
	var all []expected
	for _, name := range names {
		if e := x.state.expects(name); e.entry == nil {
			all = append(all, e)
		}
	}
	return x.look(all), nil
}

// addUnknown adds to p what is to become of what is not expected in the directory.
func (x *executor) addUnknown(p *plan) error {
	found, err := x.unexpected()
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(v seen) bool {
		return slices.ContainsFunc(p.withdraw, func(w withdrawal) bool { return w.name == v.name }) ||
			slices.ContainsFunc(p.publish, func(c publication) bool { return c.name == v.name })
	})
	x.state.inspected(found)
	more := x.state.seal()
	p.withdraw, p.aside = append(p.withdraw, more.withdraw...), append(p.aside, more.aside...)
	return nil
}

// hold holds the lists that are active, by descriptors.
func (x *executor) hold() {
	names := x.state.toHold()
	fresh, err := x.dir.Hold(names)
	x.step("hold", false, func(s *state) error {
		s.held(fresh, err)
		return nil
	})
}
