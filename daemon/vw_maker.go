// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"hash"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// candidate is a package whose list may become active: verified, and once
// built also written and signed, so that publishing it is one rename.
type candidate struct {
	pkg    nevra.NEVRA
	header record.Digest
	name   string           // of its list
	multi  bool             // says of itself that several versions may be installed
	none   *policy.Decision // why it has nothing to vouch for, if so
	hashed hash.Cloner      // what header was read from, until it is verified
	verification

	basis   uint64 // what it was made by: see state.basis
	omitted omission

	signer string // as maker.signer
	files  int
	body   record.Digest
	wide   string        // of the body, as the signer digests it; "" where that is body
	whole  record.Digest // of the body with what is denied, if it leaves something out
	file   record.Digest
	refs   *refs
	staged record.Staged
}

// verification is what the signatures of a header are worth.
type verification struct {
	key       *pgp.Cert
	sig       []byte            // that of key, as the package carries it
	signature *record.Signature // what is kept of it
	held      string            // why nothing new may come under key, "" if it may
	from      time.Time         // when a signature from the future begins to count
	vouch     policy.Decision
}
