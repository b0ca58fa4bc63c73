// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store"
)

// inspect compares every list we published with what lies in the directory. A
// file that is gone or altered is put aside and its entry marked, for the next
// reconciliation to publish it anew.
func (s *state) inspect() error {
	if err := s.checkPath(); err != nil {
		return err
	}
	s.checkAsides()
	var buf []byte
	for _, e := range s.sorted() {
		if e.active() && !e.broken {
			if err := s.inspectEntry(e, &buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// inspectNames does what inspect and foreign do, for these names only.
func (s *state) inspectNames(names map[string]bool) error {
	if err := s.checkPath(); err != nil {
		return err
	}
	var buf []byte
	for name := range names {
		e := s.byName[name]
		if e != nil && e.active() && !e.broken {
			if err := s.inspectEntry(e, &buf); err != nil {
				return err
			}
			continue
		}
		if _, err := s.dir.Stat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := s.foreignEntry(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) checkPath() error {
	err := s.dir.CheckPath()
	if err != nil {
		s.tampered(s.dir.Path(), store.Digest{}, err.Error())
		s.problem("directory", "error", err.Error(), "put the directory back, then: systemctl restart digestd")
	}
	return err
}

func (s *state) inspectEntry(e *entry, buf *[]byte) error {
	stamp, err := s.dir.Stat(e.Name)
	switch {
	case err == nil && stamp == e.stamp:
	case errors.Is(err, fs.ErrNotExist) && e.Change == store.Moving:
	case errors.Is(err, fs.ErrNotExist):
		if e.stamp != (store.Stamp{}) {
			s.tampered(e.Name, e.Body, "removed from the list directory by another hand")
		}
		s.mark(e)
	case err != nil:
		s.log.Error("list not looked at", "list", e.Name, "error", err)
	default:
		why, err := s.compare(e, stamp, buf)
		if err != nil {
			// That it cannot be read is no tampering: a disk fails, descriptors run out.
			s.log.Error("list not read", "list", e.Name, "error", err)
			again := *e
			again.Change = store.Publishing // it stays, and is made anew
			s.put(&again)
			s.anew = true
		}
		if why != "" {
			_, foreign := s.judge(e.Name)
			if foreign != "" && e.Change != store.Publishing { // else it was not in place yet
				s.quarantine(e.Name, why)
			}
			s.mark(e)
		}
	}
	return nil
}

// compare reads a list whose stamp is not the one we know and says what is
// wrong with it, if anything is. An error means that it cannot be read.
func (s *state) compare(e *entry, stamp store.Stamp, buf *[]byte) (why string, err error) {
	if !stamp.Regular {
		return "not a regular file", nil
	}
	if stamp.Links != 1 {
		return "has a second name, through which it can be changed", nil
	}
	data, err := s.dir.Read(e.Name, *buf)
	var system *fs.PathError
	if errors.As(err, &system) {
		return "", err
	}
	if err != nil {
		return err.Error(), nil
	}
	*buf = data
	if store.Digest(sha256.Sum256(data)) != e.File {
		return "content is not what was published", nil
	}
	same := *e
	same.stamp = stamp
	if same.refs == nil {
		body := data
		if b, _, _, err := digestlist.SplitSignature(data); err == nil {
			body = b
		}
		format, _, err := formatOf(e.Name)
		if err == nil {
			same.refs, err = makeRefs(format, body, e.Files)
		}
		if err != nil {
			return err.Error(), nil
		}
	}
	s.put(&same)
	return "", nil
}

// mark notes that the file of e must be made anew.
func (s *state) mark(e *entry) {
	broken := *e
	broken.broken = true
	s.put(&broken)
	s.anew = true
}

// foreign puts aside every entry of the directory that we did not publish.
func (s *state) foreign() (aside int, err error) {
	names, err := s.dir.Names()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if e := s.byName[name]; e != nil && e.active() && !e.broken {
			continue
		}
		put, err := s.foreignEntry(name)
		if err != nil {
			return aside, err
		}
		if put {
			aside++
		}
	}
	return aside, nil
}

// withdrawUnknown takes the lists of ours out of the directory that the index does not
// know, where a transaction that was cut short, or that another digestd began, may have
// left some. Only the next comparison can say what vouches for them. An act that forbids
// lists cannot wait for it, and calls this before it is answered; the comparison then
// brings back what may be there.
func (s *state) withdrawUnknown() error {
	if !s.interrupted {
		return nil
	}
	_, err := s.foreign()
	if s.dir.Dirty() {
		err = errors.Join(err, s.syncLists(nil))
	}
	if !s.batch.Empty() {
		err = errors.Join(err, s.commit())
	}
	if err != nil {
		return fmt.Errorf("cannot take the lists out of the directory yet that an interrupted transaction left: %w", err)
	}
	return nil
}

// rebuilding reports whether the index was lost and no comparison has filled the new one
// yet: then it knows none of the lists, and to withdraw them all would leave the machine
// without lists until that is over, which is soon.
func (s *state) rebuilding() bool {
	return s.lastSync.When.IsZero() && slices.ContainsFunc(s.problems, func(p api.Problem) bool { return p.ID == problemIndexLost })
}

// foreignEntry puts one aside, or removes it if it is our own.
func (s *state) foreignEntry(name string) (aside bool, err error) {
	if _, left := s.leftovers[name]; left {
		s.retryLeftovers()
		return false, nil
	}
	body, why := s.judge(name)
	if why == "" {
		s.log.Info("list removed", "list", name, "reason", "left by an interrupted transaction")
		s.takeAway(name)
		return false, nil
	}
	s.quarantineBody(name, body, why)
	return true, nil
}

// judge says why a file that we do not know lies in the list directory. "" means
// that it is our own, from a transaction that was cut short.
func (s *state) judge(name string) (body store.Digest, why string) {
	stamp, err := s.dir.Stat(name)
	if err != nil {
		return body, err.Error()
	}
	if !stamp.Regular {
		return body, "not a regular file"
	}
	data, err := s.dir.Read(name, nil)
	var system *fs.PathError
	if s.interrupted && errors.As(err, &system) {
		return body, "" // as likely ours as not, and to be removed either way
	}
	if err != nil {
		return body, err.Error()
	}
	content, sig, kind, err := digestlist.SplitSignature(data)
	if err != nil {
		content = data
	}
	body = sha256.Sum256(content)
	if s.interrupted && torn(name, data) {
		return body, ""
	}
	if r, ok := s.retired[body]; ok && !s.interrupted {
		return body, fmt.Sprintf("a retired list came back: %s was %s on %s", r.Package, r.Reason, r.When.UTC().Format("2006-01-02 15:04:05Z"))
	}
	ours := err == nil && kind == digestlist.SigPKCS7
	if ours {
		_, err = digestlist.VerifyPKCS7(content, sig, s.ownCertificates())
		ours = err == nil
	}
	switch {
	case ours && s.interrupted:
		return body, ""
	case s.interrupted && (s.signer == signNone || s.signer == signPGP):
		return body, "" // nothing tells our lists from others; it is removed either way
	case ours:
		return body, "signed by this machine, but not published now"
	default:
		return body, "put there by another hand"
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func formatOf(name string) (format, rest string, err error) {
	_, _, format, rest, err = digestlist.ParseName(name)
	return format, rest, err
}
