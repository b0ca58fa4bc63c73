// SPDX-License-Identifier: Apache-2.0

package view

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

// Entry is a list as the daemon knows it. Entries are never changed, only
// replaced: snapshots share them.
type Entry struct {
	record.List
	Stamp  record.Stamp // of the file that was published
	Refs   *Refs        // nil when the list has no files we know of
	Broken bool         // the file is gone or altered; to be made anew
}

func (e *Entry) Active() bool { return e.State == record.Active }

// Suspended reports whether a list that was active is withheld because nothing vouches for it
// now, because it is denied, or because it is below a floor. It stays what it was, and returns
// when that is over: a version beside newer ones, or one that was granted, is no rollback then.
// If a floor voided the grant, it is a rollback.
func (e *Entry) Suspended() bool {
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

// Retracted reports whether e's list was active and is withheld for an advisory. It stands again
// once no advisory speaks against it.
func (e *Entry) Retracted() bool {
	return e.State == record.Withheld && e.Counter > 0 && !e.Void && e.Own == "" && e.Reason == string(policy.ReasonAdvisory)
}

// LineID names the line of versions a package belongs to.
type LineID struct{ Name, Arch string }

// String returns "name.arch", or "name" for the line of every architecture.
func (id LineID) String() string {
	if id.Arch == "" {
		return id.Name
	}
	return id.Name + "." + id.Arch
}

func LineOf(n nevra.NEVRA) LineID { return LineID{n.Name, n.Arch} }

// Snapshot is one consistent view of the state. It is never changed once
// published; queries read it without waiting for anybody.
type Snapshot struct {
	Lists
	Keyed
	Denying
	Policed
	Running
}

// Lists are the lists and what is remembered of versions.
type Lists struct {
	Entries  []*Entry // by name
	Lookup   *Lookup  // of Entries
	Lines    map[LineID]record.Line
	Floors   policy.OriginFloors // that others than administrators of this machine set
	Asides   []record.Aside
	Retired  int // bodies that must not come back
	Own      map[string]record.Own
	Prefetch bool
	Advice
}

// Keyed is what vouches for packages, and what signs lists.
type Keyed struct {
	Keyring   *pgp.Keyring
	Keys      map[string]record.Key // that vouch or ever did
	NoExpired bool                  // an expired key vouches for nothing
	Signer    string                // of new lists
	// Certificates are our own: the one that signs, then older ones.
	Certificates []*x509.Certificate
}

// Denying is what no list may hold.
type Denying struct {
	Denied  map[string]record.Denial
	Denials *policy.Denials // these and others that hold
}

// Running is how the daemon is.
type Running struct {
	Mode      policy.Mode
	Basis     uint64 // rises with all by which lists are made and judged
	Counter   uint64 // the last that was given out
	LastEvent uint64 // that is durable
	Problems  []api.Problem
	Open      int // transactions in flight
	LastSync  api.LastSync
	DBKind    string
	DBPath    string
	Since     time.Time
	Past      Past
	// RefuseOlder is that older packages of a deployment get no lists.
	RefuseOlder bool
}

// CompareEntry compares e with a list by name.
func CompareEntry(e *Entry, name string) int { return strings.Compare(e.Name, name) }

// List returns the entry of that list name, nil if there is none.
func (s *Snapshot) List(name string) *Entry {
	if i, ok := slices.BinarySearchFunc(s.Entries, name, CompareEntry); ok {
		return s.Entries[i]
	}
	return nil
}

// IsActive reports whether the list of that name is in the directory.
func (s *Snapshot) IsActive(name string) bool {
	e := s.List(name)
	return e != nil && e.Active()
}
