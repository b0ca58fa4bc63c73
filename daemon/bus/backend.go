// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// Backend is the daemon as the bus needs it.
//
// Methods are called from many goroutines at once. Those that read answer from
// a snapshot and wait for nobody. Package bus has checked before the call that
// text is bounded, valid UTF-8 and free of control characters, that a page is
// at most [api.MaxPage] long, and that the caller may change what it changes; what the
// text means is for the backend to judge. An error with a code for programs
// and advice for people is an *[api.Error]; any other is reported as Failed. A
// page beyond the end is empty, not an error.
type Backend interface {
	VerifyBackend
	AnnounceBackend
	DenialBackend
	AdvisoryBackend
	PolicyBackend
	OwnBackend
	KernelBackend
	GuardBackend
	AnchorBackend
	LogBackend

	// Status reports the daemon at a glance.
	Status() api.Status
	// Lists returns a page of the lists that filter selects, by name, and how
	// many there are in all. The filter is "", a state, or a glob (path.Match)
	// of list names or package names.
	Lists(ctx context.Context, filter string, offset, limit uint32) (page []api.List, total uint32, err error)
	// Show returns the lists of a package: a name, name.arch or NEVRA.
	Show(ctx context.Context, pkg string) ([]api.List, error)
	// Files returns a page of the entries of a list, in the list's order.
	Files(ctx context.Context, list string, offset, limit uint32) (page []api.File, total uint32, err error)
	// Why explains one file by its absolute path. by is who asks: nobody must
	// learn anything of a file that they could not read or find themselves.
	Why(ctx context.Context, by api.Actor, path string) (api.Why, error)
	// WhyContent explains a file that the caller looked at, and opens nothing.
	WhyContent(ctx context.Context, path string, c api.Content) (api.Why, error)
	// Check says what would become of a package, by its two headers.
	Check(ctx context.Context, head, signatures []byte) (api.Check, error)
	// CheckVersion says the same by its version alone.
	CheckVersion(ctx context.Context, nevra string) (api.Check, error)
	// RollbackLog returns a page of the decisions about versions, newest first.
	RollbackLog(ctx context.Context, offset, limit uint32) (page []api.Event, total uint32, err error)
	// Floors returns the floors that administrators set, by package.
	Floors(ctx context.Context) ([]api.Floor, error)

	// Keys returns every key that vouches or ever did, by fingerprint.
	Keys(ctx context.Context) ([]api.Key, error)
	// Key returns one key by its fingerprint or the end of it.
	Key(ctx context.Context, id string) (api.Key, error)

	// Sync brings the lists in step with rpm's database and returns when it is
	// done or ctx ends. It may call report as often as it likes, from one
	// goroutine at a time; a total of 0 is not known yet.
	Sync(ctx context.Context, by api.Actor, report func(stage string, done, total int)) (api.SyncResult, error)
	// RollbackGrant permits one version, given as NEVRA, once.
	RollbackGrant(ctx context.Context, by api.Actor, pkg, reason string) (api.Grant, error)
	// RollbackRevoke takes back a grant that was not used.
	RollbackRevoke(ctx context.Context, by api.Actor, pkg string) error
	// KeyRevoke withdraws all that a key vouches for.
	KeyRevoke(ctx context.Context, by api.Actor, id, reason string) (api.Key, error)
	// KeyRestore lifts a revocation.
	KeyRestore(ctx context.Context, by api.Actor, id, reason string) (api.Key, error)
	// SignerRotate changes the key that signs lists; with prepareOnly it makes the
	// next one, for it to be enrolled, and changes nothing.
	SignerRotate(ctx context.Context, by api.Actor, prepareOnly bool, reason string) (api.Certificate, error)
	// FloorSet sets the version of a package (name or name.arch) below which
	// nothing may be active.
	FloorSet(ctx context.Context, by api.Actor, pkg, evr, reason string) error
	// FloorClear removes the floor of a package (name or name.arch).
	FloorClear(ctx context.Context, by api.Actor, pkg, reason string) error
}

// AnnounceBackend hears of transactions that rpm announces.
type AnnounceBackend interface {
	// PackagesAnnounced is called when rpm says that a transaction ended. It must
	// not block.
	PackagesAnnounced()
}
