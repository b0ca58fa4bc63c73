// SPDX-License-Identifier: Apache-2.0

package daemon_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/integration/tokentest"
)

const nonce = "00112233445566778899"

// quoted verifies a quote of the machine's.
func quoted(t *testing.T, m *daemontest.Machine, known *attest.Memory) attest.Result {
	t.Helper()
	q, err := m.AnchorQuote(t.Context(), nonce)
	if err != nil {
		t.Fatal(err)
	}
	r, err := attest.Verify([]byte(q), nonce, known)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) > 0 {
		t.Errorf("faults %q", r.Faults)
	}
	return r
}

// broken is a signing key that cannot be used.
type broken struct{ signer.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token is away")
}

// TestQuoteWithoutTPM: the key that signs lists alone states which lists are active, and says
// the same again when these are.
func TestQuoteWithoutTPM(t *testing.T) {
	m := daemontest.New(t)
	empty := quoted(t, m, nil)
	if empty.Key != "" || empty.Machine == "" || empty.Statement.Anchor.Standing != api.AnchorNone || empty.Statement.Guard.Wanted != m.Config.Guard {
		t.Errorf("%+v", empty)
	}
	tool := daemontest.Package(t, "tool", "", map[string]string{"/usr/bin/tool": "tool"})
	m.Install(t, tool)
	m.Sync(t)
	full := quoted(t, m, &empty.Memory)
	if full.Statement.Index.Lists == empty.Statement.Index.Lists || full.Statement.Index.Commit <= empty.Statement.Index.Commit || full.Machine != empty.Machine ||
		full.Statement.Policy != empty.Statement.Policy || len(full.Statement.Index.Log) == 0 {
		t.Errorf("with a list %+v, without one %+v", full.Statement, empty.Statement)
	}
	m.Erase(t, tool)
	m.Sync(t)
	if again := quoted(t, m, &full.Memory); again.Statement.Index.Lists != empty.Statement.Index.Lists || again.Statement.Index.Commit <= full.Statement.Index.Commit {
		t.Errorf("the list is gone: %+v", again.Statement)
	}
	for _, wrong := range []string{"", "00", strings.Repeat("g", 20), strings.Repeat("0", 1<<20)} {
		if _, err := m.AnchorQuote(t.Context(), wrong); daemontest.Code(err) != api.InvalidArgument {
			t.Errorf("nonce %.20q: %v", wrong, err)
		}
	}
	b := *m.Builder.Load()
	b.Identity = b.Identity.With(b.Identity.Cert, broken{b.Identity.Key})
	m.Builder.Store(&b)
	if q, err := m.AnchorQuote(t.Context(), nonce); err == nil || !strings.Contains(err.Error(), "the token is away") {
		t.Errorf("nothing can sign, and there is a quote: %s, %v", q, err)
	}
}

// TestNoIdentityWithoutTPM: a machine without an anchor proves nothing to a verifier, and says
// why.
func TestNoIdentityWithoutTPM(t *testing.T) {
	m := daemontest.New(t)
	if _, err := m.AnchorIdentity(t.Context()); err == nil || api.AsError(err).Advice == "" {
		t.Errorf("its identity: %v", err)
	}
	challenge, err := json.Marshal(attest.Challenge{Format: attest.ChallengeFormat, Version: attest.Version, Algorithm: 1, Blob: []byte("blob"), Secret: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.AnchorProve(t.Context(), challenge); err == nil || daemontest.Code(err) == api.InvalidArgument || api.AsError(err).Advice == "" {
		t.Errorf("a proof: %v", err)
	}
	for _, wrong := range []string{"", "[]", `{"format":"digestd-quote","version":1}`, string(challenge) + "x"} {
		if _, err := m.AnchorProve(t.Context(), []byte(wrong)); daemontest.Code(err) != api.InvalidArgument {
			t.Errorf("%q is a challenge: %v", wrong, err)
		}
	}
}

// TestDecisionsAreAnchored: each act that must not be undone says whether it is anchored; one
// that did not happen says nothing.
func TestDecisionsAreAnchored(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	m := daemontest.New(t, func(c *config.Config) {
		c.Anchor, c.AnchorSecret = chip.Where(), filepath.Join(t.TempDir(), "anchor.secret")
	})
	key := daemontest.Key(t, "owner")
	m.Import(t, key)
	acts := map[string]func(ctx context.Context, name string, dry bool) (string, error){
		"deny": func(ctx context.Context, name string, _ bool) (string, error) {
			denial, err := m.Deny(ctx, daemontest.Root, name, "", "bad", "", time.Time{})
			return denial.Anchor, err
		},
		"import": func(ctx context.Context, name string, dry bool) (string, error) {
			r, err := m.DenialsImport(ctx, daemontest.Root, []byte(`{"format":"digestd-denials","version":1,"denials":[{"package":"`+name+`-import","reason":"bad"}]}`), dry)
			return r.Anchor, err
		},
	}
	said := func(when, name, want string, dry bool) {
		t.Helper()
		for act, do := range acts {
			if how, err := do(t.Context(), name, dry); err != nil || how != want {
				t.Errorf("%s, %s: %q, %v, want %q", when, act, how, err, want)
			}
		}
	}
	said("there is no anchor", "one", "", false)
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil {
		t.Fatal(err)
	}
	said("nobody anchors yet", "two", api.AnchorPending, false)
	daemontest.Loop(t, m.Rooms.Anchor.Loop)
	daemontest.Await(t, "decisions are anchored", func() bool {
		return m.Rooms.Anchor.Settled(t.Context()) == api.AnchorDone
	})
	before := m.AnchorStatus().Value
	said("the TPM answers", "three", api.AnchorDone, false)
	if k, err := m.KeyRevoke(t.Context(), daemontest.Root, key.Fingerprint(), "stolen"); err != nil || k.Anchor != api.AnchorDone {
		t.Errorf("a key is revoked: %+v, %v", k, err)
	}
	after := m.AnchorStatus().Value
	if after != before+3 {
		t.Errorf("three decisions brought the counter from %d to %d", before, after)
	}
	if r := quoted(t, m, nil); r.Key == "" || r.Value != after {
		t.Errorf("the quote has %+v, the counter is at %d", r, after)
	}
	delete(acts, "deny")
	said("nothing is done", "four", "", true)
	if k, err := m.KeyRevoke(t.Context(), daemontest.Root, "no key", "stolen"); err == nil || k.Anchor != "" {
		t.Errorf("no key is revoked: %+v, %v", k, err)
	}
	chip.Stop()
	said("the TPM is away", "five", api.AnchorPending, false)
}
