// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Lists are the lists that the directory must have.
func (s *Ledger) Lists() (all []state.Expected) {
	for _, e := range s.Sorted() {
		if e.Active() && !e.Broken {
			all = append(all, state.Expected{Name: e.Name, Entry: e})
		}
	}
	return all
}

// Expects describes the file that must have a name.
func (s *Ledger) Expects(name string) state.Expected {
	if e := s.ByName[name]; e != nil && e.Active() && !e.Broken {
		return state.Expected{Name: name, Entry: e}
	}
	return state.Expected{Name: name, Entry: nil}
}

// Inspected compares what was found with what was published. A file that is gone or
// altered is set aside and its entry marked, for the next reconciliation to publish it
// anew; one that is not ours is set aside, or removed if a crash left it.
func (s *Ledger) Inspected(all []state.Seen) (aside int) {
	for i := range all {
		x := &all[i]
		switch {
		case x.Entry != nil:
			s.inspectedList(x)
		case x.Missing:
		case s.stranger(x):
			aside++
		}
	}
	return aside
}

func (s *Ledger) inspectedList(x *state.Seen) {
	e := x.Entry
	switch {
	case x.Missing && e.Change == record.Moving:
	case x.Missing:
		if e.Stamp != (record.Stamp{}) {
			s.Tampered(e.Name, e.Body, "removed from the list directory by something other than digestd")
		}
		s.mark(e)
	case x.Err != nil:
		s.Log.Error("list not looked at", "list", e.Name, "error", x.Err)
	case x.Read != nil:
		// That it cannot be read is no tampering: a disk fails, descriptors run out.
		s.Log.Error("list not read", "list", e.Name, "error", x.Read)
		again := *e
		again.Change = record.Publishing // it stays, and is made anew
		s.Put(&again)
		s.Anew = true
	default:
		why := s.compare(x)
		if why == "" {
			return
		}
		if s.judge(x) != "" && e.Change != record.Publishing { // else it was not in place yet
			s.Quarantine(x, record.Digest{}, why)
		}
		s.mark(e)
	}
}

// compare says what is wrong with a list whose stamp is not the one we know, if
// anything is.
func (s *Ledger) compare(x *state.Seen) (why string) {
	switch {
	case !x.Stamp.Regular:
		return "not a regular file"
	case x.Stamp.Links != 1:
		return "has a second hard link, through which it can be changed"
	case x.Odd != "":
		return x.Odd
	case x.File != x.Entry.File:
		return "content is not what was published"
	case x.Entry.Refs == nil && x.Refs == nil:
		return "its files cannot be read"
	}
	same := *x.Entry
	same.Stamp = x.Stamp
	if same.Refs == nil {
		same.Refs = x.Refs
	}
	s.Put(&same)
	return ""
}

// mark notes that the file of e must be made anew.
func (s *Ledger) mark(e *view.Entry) {
	broken := *e
	broken.Broken = true
	s.Put(&broken)
	s.Anew = true
}

// stranger sets a file aside that we did not publish, or removes it if it is our own.
func (s *Ledger) stranger(x *state.Seen) (aside bool) {
	if _, left := s.Leftovers[x.Name]; left {
		s.RetryLeftovers()
		return false
	}
	why := s.judge(x)
	if why == "" {
		s.Log.Info("list removed", "list", x.Name, "reason", "left by an interrupted transaction")
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: x.Name})
		return false
	}
	s.Quarantine(x, x.Body, why)
	return true
}

// judge says why a file that we do not know lies in the list directory. "" means
// that it is our own, from a transaction that was cut short.
func (s *Ledger) judge(x *state.Seen) (why string) {
	switch {
	case x.Err != nil:
		return x.Err.Error()
	case !x.Stamp.Regular:
		return "not a regular file"
	case x.Read != nil && s.Unsettled:
		return "" // as likely ours as not, and to be removed either way
	case x.Read != nil:
		return x.Read.Error()
	case x.Odd != "":
		return x.Odd
	case x.Torn && s.Unsettled:
		return ""
	}
	if r, ok := s.Retired[x.Body]; ok && !s.Unsettled {
		return fmt.Sprintf("a retired list came back: %s was %s on %s", r.Package, r.Reason, r.When.UTC().Format("2006-01-02 15:04:05Z"))
	}
	switch {
	case x.Signed && s.Unsettled:
		return ""
	case s.Unsettled && (s.Signer == SignNone || s.Signer == SignPGP):
		return "" // nothing tells our lists from others; it is removed either way
	case x.Signed:
		return "signed by this machine, but not a current list"
	default:
		return "another program put it there"
	}
}

func FormatOf(name string) (format, rest string, err error) {
	_, _, format, rest, err = digestlist.ParseName(name)
	return format, rest, err
}
