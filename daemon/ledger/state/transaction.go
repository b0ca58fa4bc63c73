// SPDX-License-Identifier: Apache-2.0

package state

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Transaction is one run of a package manager, from Begin to End or to the
// loss of the connection. Its fields are used within turns alone.
type Transaction struct {
	Peer     wire.Peer
	RootDev  uint64 // device number of the file system it installs into; 0: not known
	Elements []policy.Element
	Manner

	Added   map[record.Digest]*Addition // by header
	ByIndex map[uint32]*Addition        // by element
	Removed []*view.Entry               // withdrawn, in order
	Kept    []*view.Entry               // replaced, and allowed to stay until the machine restarts
	Touched []string                    // names of lists that must be durable at the end
}

// Manner is how a transaction is run.
type Manner struct {
	Test    bool
	Check   bool // asked about before anything is downloaded; test, too
	DBOnly  bool // no file is touched: --justdb
	Assured bool // the package manager was told that no package will be refused
	// TakenOver: it began under another digestd. A comparison follows its end.
	TakenOver bool
	Unlisted  bool // a package with files got no list: before it syncs, it waits for the end
}

// Addition is a package that the transaction brings.
type Addition struct {
	*view.Candidate // which nobody changes any more; never nil
	Decision        policy.Decision
	Previous        *view.Entry   // what stood under its name before
	Replaced        record.Staged // the list of previous, until it is known that it is not needed again
	Installed       bool
	Reused          bool // its list was active before the transaction
}

// Refused records a package that was stopped.
func (s *State) Refused(t *Transaction, pkg nevra.NEVRA, d policy.Decision) {
	kind := audit.KindRefused
	if d.Reason.Rollback() {
		kind = audit.KindRollbackRefused
		s.After(func(o Observer) { o.RollbackRefused(pkg.Full(), string(d.Reason)) })
	}
	s.Event(record.Event{Kind: kind, Package: pkg.Full(), Reason: string(d.Reason), Text: d.Text, UID: t.Peer.UID, PID: t.Peer.PID})
}

// Installed notes that an element's package is in rpm's database.
func (s *State) Installed(t *Transaction, element uint32) {
	if a := t.ByIndex[element]; a != nil {
		a.Installed = true
	}
}

// Replaces reports whether t brought another version of e's package.
func (t *Transaction) Replaces(e *view.Entry) bool {
	for _, a := range t.Added {
		if view.LineOf(a.Pkg) == view.LineOf(e.Package) && a.Pkg.EVR != e.Package.EVR {
			return true
		}
	}
	return false
}
