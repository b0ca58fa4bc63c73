// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// expected is a name in the list directory that is to be looked at.
type expected struct {
	name  string
	entry *view.Entry // what is to be there; nil: nothing of ours
}

// seen is what was found under a name. Of a file that bears the stamp it was published
// with nothing is read.
type seen struct {
	expected
	stamp   record.Stamp
	missing bool
	err     error  // it could not be looked at
	read    error  // of a regular file: the system failed to read it
	odd     string // why what was read can be no list
	file    record.Digest
	body    record.Digest
	refs    *view.Refs // of the list that was expected, if they were not known
	torn    bool       // it is what a loss of power leaves
	signed  bool       // by a certificate of ours
	size    int64      // in bytes, of a directory with all in it; counted no further than the quarantine has room
}

// lists are what the directory has to hold.
func (s *state) lists() (all []expected) {
	for _, e := range s.sorted() {
		if e.Active() && !e.Broken {
			all = append(all, expected{e.Name, e})
		}
	}
	return all
}

// expects says what is to be found under a name.
func (s *state) expects(name string) expected {
	if e := s.byName[name]; e != nil && e.Active() && !e.Broken {
		return expected{name, e}
	}
	return expected{name, nil}
}

// pathChecked notes whether the list directory is the one that was opened.
func (s *state) pathChecked(err error) {
	if err != nil {
		s.tampered(s.listDir, record.Digest{}, err.Error())
		s.problem("directory", "error", err.Error(), "put the directory back, then: systemctl restart digestd")
	}
}

// inspected compares what was found with what was published. A file that is gone or
// altered is set aside and its entry marked, for the next reconciliation to publish it
// anew; one that is not ours is set aside, or removed if a crash left it.
func (s *state) inspected(all []seen) (aside int) {
	for i := range all {
		x := &all[i]
		switch {
		case x.entry != nil:
			s.inspectedList(x)
		case x.missing:
		case s.stranger(x):
			aside++
		}
	}
	return aside
}

func (s *state) inspectedList(x *seen) {
	e := x.entry
	switch {
	case x.missing && e.Change == record.Moving:
	case x.missing:
		if e.Stamp != (record.Stamp{}) {
			s.tampered(e.Name, e.Body, "removed from the list directory by another hand")
		}
		s.mark(e)
	case x.err != nil:
		s.log.Error("list not looked at", "list", e.Name, "error", x.err)
	case x.read != nil:
		// That it cannot be read is no tampering: a disk fails, descriptors run out.
		s.log.Error("list not read", "list", e.Name, "error", x.read)
		again := *e
		again.Change = record.Publishing // it stays, and is made anew
		s.put(&again)
		s.anew = true
	default:
		why := s.compare(x)
		if why == "" {
			return
		}
		if s.judge(x) != "" && e.Change != record.Publishing { // else it was not in place yet
			s.quarantine(x, record.Digest{}, why)
		}
		s.mark(e)
	}
}

// compare says what is wrong with a list whose stamp is not the one we know, if
// anything is.
func (s *state) compare(x *seen) (why string) {
	switch {
	case !x.stamp.Regular:
		return "not a regular file"
	case x.stamp.Links != 1:
		return "has a second name, through which it can be changed"
	case x.odd != "":
		return x.odd
	case x.file != x.entry.File:
		return "content is not what was published"
	case x.entry.Refs == nil && x.refs == nil:
		return "its files cannot be read"
	}
	same := *x.entry
	same.Stamp = x.stamp
	if same.Refs == nil {
		same.Refs = x.refs
	}
	s.put(&same)
	return ""
}

// mark notes that the file of e must be made anew.
func (s *state) mark(e *view.Entry) {
	broken := *e
	broken.Broken = true
	s.put(&broken)
	s.anew = true
}

// withdrawUnknown has the lists of ours leave the directory that the index does not
// know, where a transaction that was cut short, or that another digestd began, may have
// left some. Only the next comparison can say what vouches for them. An act that forbids
// lists cannot wait for it; the comparison then brings back what may be there.
func (s *state) withdrawUnknown() {
	if s.unsettled {
		s.intend()
		s.plan.unknown = true
		s.sync()
		s.record()
	}
}

// rebuilding reports whether the index was lost and no comparison has filled the new one
// yet: then it knows none of the lists, and to withdraw them all would leave the machine
// without lists until that is over, which is soon.
func (s *state) rebuilding() bool {
	return s.lastSync.When.IsZero() && slices.ContainsFunc(s.problems, func(p api.Problem) bool { return p.ID == problemIndexLost })
}

// stranger sets a file aside that we did not publish, or removes it if it is our own.
func (s *state) stranger(x *seen) (aside bool) {
	if _, left := s.leftovers[x.name]; left {
		s.retryLeftovers()
		return false
	}
	why := s.judge(x)
	if why == "" {
		s.log.Info("list removed", "list", x.name, "reason", "left by an interrupted transaction")
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: x.name})
		return false
	}
	s.quarantine(x, x.body, why)
	return true
}

// judge says why a file that we do not know lies in the list directory. "" means
// that it is our own, from a transaction that was cut short.
func (s *state) judge(x *seen) (why string) {
	switch {
	case x.err != nil:
		return x.err.Error()
	case !x.stamp.Regular:
		return "not a regular file"
	case x.read != nil && s.unsettled:
		return "" // as likely ours as not, and to be removed either way
	case x.read != nil:
		return x.read.Error()
	case x.odd != "":
		return x.odd
	case x.torn && s.unsettled:
		return ""
	}
	if r, ok := s.retired[x.body]; ok && !s.unsettled {
		return fmt.Sprintf("a retired list came back: %s was %s on %s", r.Package, r.Reason, r.When.UTC().Format("2006-01-02 15:04:05Z"))
	}
	switch {
	case x.signed && s.unsettled:
		return ""
	case s.unsettled && (s.signer == signNone || s.signer == signPGP):
		return "" // nothing tells our lists from others; it is removed either way
	case x.signed:
		return "signed by this machine, but not published now"
	default:
		return "put there by another hand"
	}
}

func formatOf(name string) (format, rest string, err error) {
	_, _, format, rest, err = digestlist.ParseName(name)
	return format, rest, err
}
