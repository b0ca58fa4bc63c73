// SPDX-License-Identifier: Apache-2.0

package view

import (
	"hash"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Candidate is a package whose list may become active: verified, and once
// built also written and signed, so that publishing it is one rename.
type Candidate struct {
	Pkg    nevra.NEVRA
	Header record.Digest
	Name   string           // of its list
	Multi  bool             // says of itself that several versions may be installed
	None   *policy.Decision // why it has nothing to vouch for, if so
	Hashed hash.Cloner      // what header was read from, until it is verified
	Verification

	Basis   uint64 // what it was made by: see Running
	Omitted Omission
	Made
}

// Made is a list that was written and signed.
type Made struct {
	Signer string // subject key identifier of the certificate that signed it, or how it is signed else
	Files  int
	Body   record.Digest // of the list without its signature
	Wide   string        // of the body, as the signer digests it; "" where that is Body
	Whole  record.Digest // of the body with what is denied, if it leaves something out
	File   record.Digest
	Refs   *Refs
	Staged record.Staged
}

// Verification is what the signatures of a header are worth.
type Verification struct {
	Key       *pgp.Cert
	Sig       []byte            // that of key, as the package carries it
	Signature *record.Signature // what is kept of it
	Held      string            // why nothing new may come under key, "" if it may
	From      time.Time         // when a signature from the future begins to count
	Vouch     policy.Decision
}
