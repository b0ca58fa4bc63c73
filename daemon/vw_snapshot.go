// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// entry is a list as the daemon knows it. Entries are never changed, only
// replaced: snapshots share them.
type entry struct {
	record.List
	stamp  record.Stamp // of the file that was published
	refs   *refs        // nil when the list has no files we know of
	broken bool         // the file is gone or altered; to be made anew
}

func (e *entry) active() bool { return e.State == record.Active }

// suspended reports whether a list that was active is withheld because nothing
// vouches for it now, because it is denied, or because it is below a floor. It stays
// what it was, and returns when that is over: a version beside newer ones, or one
// that was granted, is no rollback then. Where a floor voided the grant, it is one.
func (e *entry) suspended() bool {
	if e.State != record.Withheld || e.Counter == 0 || e.Void {
		return false
	}
	switch reason := policy.Reason(e.Reason); {
	case reason == policy.ReasonDenied:
		return true
	case e.Own != "":
		return false
	default:
		return reason == policy.ReasonRollbackFloor || !reason.Rollback()
	}
}

// lineID names the line of versions a package belongs to.
type lineID struct{ name, arch string }

// String returns "name.arch", or "name" for the line of every architecture.
func (id lineID) String() string {
	if id.arch == "" {
		return id.name
	}
	return id.name + "." + id.arch
}

func lineOf(n nevra.NEVRA) lineID { return lineID{n.Name, n.Arch} }

// snapshot is one consistent view of the state. It is never changed once
// published; queries read it without waiting for anybody.
type snapshot struct {
	entries []*entry // by name
	lookup  *lookup  // of entries
	lines   map[lineID]record.Line
	asides  []record.Aside
	keyring *pgp.Keyring
	keys    map[string]record.Key // that vouch or ever did
	signer  string                // of new lists
	denied  map[string]record.Denial
	denials *policy.Denials // these and others that hold
	// certificates are our own: the one that signs, then older ones.
	certificates []*x509.Certificate
	mode         policy.Mode
	noExpired    bool
	basis        uint64 // see state
	counter      uint64
	lastEvent    uint64 // that is durable
	problems     []api.Problem
	open         int // transactions in flight
	lastSync     api.LastSync
	dbKind       string
	dbPath       string
	retired      int
	since        time.Time
	own          map[string]record.Own
	prefetch     bool
}

func compareEntry(e *entry, name string) int { return strings.Compare(e.Name, name) }

// list returns the entry of that list name, nil if there is none.
func (s *snapshot) list(name string) *entry {
	if i, ok := slices.BinarySearchFunc(s.entries, name, compareEntry); ok {
		return s.entries[i]
	}
	return nil
}

// isActive reports whether the list of that name is in the directory.
func (s *snapshot) isActive(name string) bool {
	e := s.list(name)
	return e != nil && e.active()
}
