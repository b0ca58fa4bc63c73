// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/rpmdb"
)

// Labels binds files to lists.
type Labels struct{ *Host }

// Denier makes lists leave out what is denied.
type Denier struct {
	*Host
	labels  *Labels
	denying chan struct{} // what is denied has changed
}

// Enroller keeps the key that signs lists, and what the kernel knows of its certificate.
type Enroller struct {
	*Host
	identities identities
	rotation   sync.Mutex                  // one change of the signing key at a time
	unsigned   chan struct{}               // the signing key cannot be used
	refresh    func(context.Context) error // reads the keys anew, which replaces a revoked one
}

// KeySource reads who vouches for packages, and what is revoked.
type KeySource struct {
	*Host
	enroller  *Enroller
	denier    *Denier
	blacklist func() (state.Blacklisted, error) // the kernel's
	mu        sync.Mutex
	stamp     keyStamp // of the keyring in use; guarded by mu
	banned    []string // by the kernel's .blacklist, as denials; guarded by mu
}

// Reconciler compares the lists with rpm's database, when that is due.
type Reconciler struct {
	*Host
	labels   *Labels
	denier   *Denier
	enroller *Enroller
	keys     *KeySource
	guard    *Guard
	rested   chan struct{}               // a transaction ended, for the watcher
	synced   atomic.Pointer[rpmdb.Stamp] // of the database at the last reconciliation
	mu       sync.Mutex                  // one reconciliation at a time
	resync   backoff                     // after one that failed; guarded by mu
	compared func(anew bool)             // is called after each comparison
	tell     func()                      // tells the service manager how the daemon is
}

// Exporter tells other programs what is vouched for.
type Exporter struct {
	*Host
	databaseRead atomic.Bool // a comparison has read rpm's database since files were signed
	signAnew     atomic.Bool // every file is to be looked at again
	gone         goneLists
}

// Verifier compares files with what vouches for them.
type Verifier struct {
	*Host
	reconciler *Reconciler
	verifier   verifier
}

// Query answers questions from a view, and waits for nobody.
type Query struct {
	*Host
	enroller *Enroller
	verifier *Verifier
	looks    *look.Pool // at files
}

// Admin carries out what administrators decide.
type Admin struct {
	*Host
	keys       *KeySource
	enroller   *Enroller
	denier     *Denier
	reconciler *Reconciler
	query      *Query
}

// OwnLists takes in, publishes and removes own lists.
type OwnLists struct {
	*Host
	labels   *Labels
	enroller *Enroller
	keys     *KeySource
	mu       sync.Mutex // one change of an own list at a time
	uploads  uploads    // own lists that are being sent
}

// Sessions serves package managers.
type Sessions struct {
	*Host
	labels     *Labels
	keys       *KeySource
	reconciler *Reconciler
	exporter   *Exporter
	leave      func(Left) error
	open       sync.WaitGroup
	refusals   refusals // hooks that could not be served
}

// Guard tells digestd-guard what active lists hold.
type Guard struct {
	*Host
	*guardLink
}
