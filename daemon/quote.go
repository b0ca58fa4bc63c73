// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/daemon/query"
	"github.com/digestd/digestd/daemon/view"
)

// guardPatience is how long a statement waits for the guard.
const guardPatience = 2 * time.Second

// mostExempt bounds the exemptions that a statement names.
const mostExempt = 64

// AnchorQuote states to a verifier what this machine is: for its nonce, signed by the TPM
// where the anchor is enabled, and by the key that signs lists. It is a document of package
// attest. [api.InvalidArgument] says that the nonce is none.
func (d *Daemon) AnchorQuote(ctx context.Context, nonce string) (string, error) {
	if err := attest.CheckNonce(nonce); err != nil {
		return "", api.Errorf(api.InvalidArgument, "%v", err)
	}
	if err := d.rooms.Anchor.Look(ctx); err != nil {
		d.Logger.Debug("not anchored before a quote", "error", err)
	}
	guard := d.stateOfGuard(ctx)
	var statement, digest []byte
	var err error
	c, terr := d.rooms.Anchor.Certify(ctx, func() []byte {
		s := d.statement(ctx, nonce)
		s.Guard = guard
		statement, err = json.Marshal(s)
		digest = attest.Digest(statement)
		return digest
	})
	if err != nil {
		return "", err
	}
	q := attest.Quote{Format: attest.QuoteFormat, Version: attest.Version, Statement: statement}
	if terr != nil && d.rooms.Anchor.On() {
		d.Logger.Warn("the TPM does not sign a quote", "error", terr)
	}
	if terr == nil {
		q.TPM = &attest.TPM{Attest: c.Attest, Signature: c.Signature, Key: c.Key}
	}
	id := d.Builder.Load().Identity
	sig, merr := id.Key.Sign(rand.Reader, digest, crypto.SHA256)
	if merr == nil {
		q.Machine = &attest.Machine{Signature: sig, Certificate: id.Cert.Raw}
	}
	if terr != nil && merr != nil {
		return "", errors.Join(terr, merr)
	}
	document, err := json.Marshal(q)
	return string(document), err
}

// AnchorIdentity shows a verifier by which keys the TPM of this machine is known, as a document
// of package attest.
func (d *Daemon) AnchorIdentity(ctx context.Context) (string, error) {
	id, err := d.rooms.Anchor.Identity(ctx)
	if err != nil {
		return "", err
	}
	document, err := json.Marshal(attest.NewIdentity(id))
	return string(document), err
}

// AnchorProve answers the challenge of a verifier; both are documents of package attest.
// [api.InvalidArgument] says that the challenge is none, or is for another TPM.
func (d *Daemon) AnchorProve(ctx context.Context, challenge []byte) (string, error) {
	c, err := attest.ReadChallenge(challenge)
	if err != nil {
		return "", api.Errorf(api.InvalidArgument, "%v", err)
	}
	secret, err := d.rooms.Anchor.Prove(ctx, c)
	if err != nil {
		return "", err
	}
	document, err := json.Marshal(attest.NewProof(secret))
	return string(document), err
}

// statement is what the machine says of itself, except for its guard.
func (d *Daemon) statement(ctx context.Context, nonce string) attest.Statement {
	s := attest.Statement{Format: attest.StatementFormat, Version: attest.Version, Nonce: nonce, When: d.Now().UTC(), Digestd: api.Version, Anchor: d.AnchorStatus()}
	d.Exec.Do(ctx, func() error {
		if n, counts := d.Index.(interface{ Commits() uint64 }); counts {
			s.Index.Commit = n.Commits()
		}
		s.Index.Log = query.HeadsOf(d.Exec.State.Chain)
		s.Policy = d.rooms.Anchor.SettingsDigest(d.Exec.State.State)
		return nil
	})
	s.Index.Lists = digestOfLists(d.Snapshot().Entries)
	return s
}

// stateOfGuard asks the guard for its state, and takes the last one known if it does not answer.
func (d *Daemon) stateOfGuard(ctx context.Context) attest.Guard {
	ctx, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	g, err := d.Guard(ctx)
	if err != nil {
		g = d.Recent()
	}
	return statedGuard(g)
}

// statedGuard is the part of the guard's state that a statement has.
func statedGuard(g api.Guard) attest.Guard {
	named := min(len(g.Exempt), mostExempt)
	return attest.Guard{Wanted: g.Wanted, Mode: g.Mode, Modules: g.Modules, Commit: g.Commit, Digests: g.Digests,
		Exempt: g.Exempt[:named], More: len(g.Exempt) - named}
}

// digestOfLists digests the names and bodies of active lists, which are what the guard lets run.
func digestOfLists(entries []*view.Entry) string {
	h := sha256.New()
	for _, e := range entries {
		if e.Active() {
			h.Write([]byte(e.Name))
			h.Write([]byte{0})
			h.Write(e.Body[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
