// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
)

func (b *stub) AnchorStatus() api.Anchor { return api.Anchor{Where: "off", Standing: api.AnchorNone} }

func (b *stub) AnchorEnable(_ context.Context, _ api.Actor, owner, reason string) (api.Anchor, error) {
	b.changed(fmt.Sprintf("AnchorEnable %q %s", owner, reason))
	return b.AnchorStatus(), nil
}

func (b *stub) AnchorAccept(_ context.Context, _ api.Actor, reason string) (api.Anchor, error) {
	b.changed("AnchorAccept " + reason)
	return b.AnchorStatus(), nil
}

func (b *stub) AnchorRebind(_ context.Context, _ api.Actor, owner, reason string) (api.Anchor, error) {
	b.changed(fmt.Sprintf("AnchorRebind %q %s", owner, reason))
	return b.AnchorStatus(), nil
}

func (b *stub) AnchorDisable(_ context.Context, _ api.Actor, owner string, leave bool, reason string) (api.Anchor, error) {
	b.changed(fmt.Sprintf("AnchorDisable %q %v %s", owner, leave, reason))
	return b.AnchorStatus(), nil
}

func (b *stub) AnchorQuote(_ context.Context, nonce string) (string, error) {
	return "{" + nonce + "}", nil
}

func (b *stub) AnchorIdentity(context.Context) (string, error) { return "{}", nil }

func (b *stub) AnchorProve(_ context.Context, challenge []byte) (string, error) {
	return string(challenge), nil
}

func (b *stub) LogVerify(_ context.Context, head string) (api.LogCheck, error) {
	return api.LogCheck{Entries: len(head), Heads: []api.LogHead{}, Faults: []string{}}, nil
}

// TestAnchor: what changes the anchor has its reason and bounds, and a password crosses as it is.
func TestAnchor(t *testing.T) {
	b := &stub{}
	_, private := serve(t, b)
	p := connect(t, private)
	long := make([]byte, maxOwner+1)
	p.refused("InvalidArgument", "AnchorEnable", long, "why")
	p.refused("InvalidArgument", "AnchorRebind", long, "why")
	p.refused("InvalidArgument", "AnchorRebind", []byte{}, "")
	p.refused("InvalidArgument", "AnchorAccept", "")
	p.refused("InvalidArgument", "AnchorDisable", []byte{}, true, "")
	if len(b.changes) > 0 {
		t.Errorf("refused calls reached the backend: %v", b.changes)
	}
	p.must("Anchor")
	p.must("AnchorQuote", "00")
	p.must("AnchorIdentity")
	p.must("AnchorProve", []byte("{\n}"))
	p.refused("InvalidArgument", "AnchorProve", make([]byte, attest.MaxIdentity+1))
	p.must("AnchorEnable", []byte("\xffsecret"), "")
	p.must("AnchorAccept", "why")
	p.must("AnchorRebind", []byte{}, "why")
	p.must("AnchorDisable", []byte{}, true, "why")
	want := `[AnchorEnable "\xffsecret"  AnchorAccept why AnchorRebind "" why AnchorDisable "" true why]`
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := fmt.Sprint(b.changes); got != want {
		t.Errorf("the backend did %s, want %s", got, want)
	}
}
