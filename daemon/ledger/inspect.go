// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Expected is a name in the list directory that is to be looked at.
type Expected struct {
	Name  string
	Entry *view.Entry // what is to be there; nil: nothing of ours
}

// Seen is what was found under a name. Of a file that bears the stamp it was published
// with nothing is read.
type Seen struct {
	Expected
	Stamp   record.Stamp
	Missing bool
	Err     error  // it could not be looked at
	Read    error  // of a regular file: the system failed to read it
	Odd     string // why what was read can be no list
	File    record.Digest
	Body    record.Digest
	Refs    *view.Refs // of the list that was expected, if they were not known
	Torn    bool       // it is what a loss of power leaves
	Signed  bool       // by a certificate of ours
	Size    int64      // in bytes, of a directory with all in it; counted no further than the quarantine has room
}

// Lists are what the directory has to hold.
func (s *Ledger) Lists() (all []Expected) {
	for _, e := range s.Sorted() {
		if e.Active() && !e.Broken {
			all = append(all, Expected{e.Name, e})
		}
	}
	return all
}

// Expects says what is to be found under a name.
func (s *Ledger) Expects(name string) Expected {
	if e := s.ByName[name]; e != nil && e.Active() && !e.Broken {
		return Expected{name, e}
	}
	return Expected{name, nil}
}

// PathChecked notes whether the list directory is the one that was opened.
func (s *Ledger) PathChecked(err error) {
	if err != nil {
		s.Tampered(s.ListDir, record.Digest{}, err.Error())
		s.Problem("directory", "error", err.Error(), "put the directory back, then: systemctl restart digestd")
	}
}

// Inspected compares what was found with what was published. A file that is gone or
// altered is set aside and its entry marked, for the next reconciliation to publish it
// anew; one that is not ours is set aside, or removed if a crash left it.
func (s *Ledger) Inspected(all []Seen) (aside int) {
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

func (s *Ledger) inspectedList(x *Seen) {
	e := x.Entry
	switch {
	case x.Missing && e.Change == record.Moving:
	case x.Missing:
		if e.Stamp != (record.Stamp{}) {
			s.Tampered(e.Name, e.Body, "removed from the list directory by another hand")
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
			s.quarantine(x, record.Digest{}, why)
		}
		s.mark(e)
	}
}

// compare says what is wrong with a list whose stamp is not the one we know, if
// anything is.
func (s *Ledger) compare(x *Seen) (why string) {
	switch {
	case !x.Stamp.Regular:
		return "not a regular file"
	case x.Stamp.Links != 1:
		return "has a second name, through which it can be changed"
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

// WithdrawUnknown has the lists of ours leave the directory that the index does not
// know, where a transaction that was cut short, or that another digestd began, may have
// left some. Only the next comparison can say what vouches for them. An act that forbids
// lists cannot wait for it; the comparison then brings back what may be there.
func (s *Ledger) WithdrawUnknown() {
	if s.Unsettled {
		s.intend()
		s.Plan.Unknown = true
		s.Sync()
		s.Record()
	}
}

// rebuilding reports whether the index was lost and no comparison has filled the new one
// yet: then it knows none of the lists, and to withdraw them all would leave the machine
// without lists until that is over, which is soon.
func (s *Ledger) rebuilding() bool {
	return s.LastSync.When.IsZero() && slices.ContainsFunc(s.Problems, func(p api.Problem) bool { return p.ID == ProblemIndexLost })
}

// stranger sets a file aside that we did not publish, or removes it if it is our own.
func (s *Ledger) stranger(x *Seen) (aside bool) {
	if _, left := s.Leftovers[x.Name]; left {
		s.RetryLeftovers()
		return false
	}
	why := s.judge(x)
	if why == "" {
		s.Log.Info("list removed", "list", x.Name, "reason", "left by an interrupted transaction")
		s.Plan.Withdraw = append(s.Plan.Withdraw, Withdrawal{Name: x.Name})
		return false
	}
	s.quarantine(x, x.Body, why)
	return true
}

// judge says why a file that we do not know lies in the list directory. "" means
// that it is our own, from a transaction that was cut short.
func (s *Ledger) judge(x *Seen) (why string) {
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
	if r, ok := s.retired[x.Body]; ok && !s.Unsettled {
		return fmt.Sprintf("a retired list came back: %s was %s on %s", r.Package, r.Reason, r.When.UTC().Format("2006-01-02 15:04:05Z"))
	}
	switch {
	case x.Signed && s.Unsettled:
		return ""
	case s.Unsettled && (s.Signer == SignNone || s.Signer == SignPGP):
		return "" // nothing tells our lists from others; it is removed either way
	case x.Signed:
		return "signed by this machine, but not published now"
	default:
		return "put there by another hand"
	}
}

func FormatOf(name string) (format, rest string, err error) {
	_, _, format, rest, err = digestlist.ParseName(name)
	return format, rest, err
}
