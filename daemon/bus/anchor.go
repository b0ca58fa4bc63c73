// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/daemon/bus/object"
)

// AnchorBackend is the counter in the TPM that no backup brings back. An owner is the
// password of the TPM's owner, "" for none.
type AnchorBackend interface {
	// AnchorStatus says how the index and the counter stand to each other.
	AnchorStatus() api.Anchor
	// AnchorEnable makes a counter, and binds the index to it.
	AnchorEnable(ctx context.Context, by api.Actor, owner, reason string) (api.Anchor, error)
	// AnchorAccept goes on by an index that is older than the counter.
	AnchorAccept(ctx context.Context, by api.Actor, reason string) (api.Anchor, error)
	// AnchorRebind binds the index to another counter.
	AnchorRebind(ctx context.Context, by api.Actor, owner, reason string) (api.Anchor, error)
	// AnchorDisable binds the index to no counter; with leave the counter stays in the TPM.
	AnchorDisable(ctx context.Context, by api.Actor, owner string, leave bool, reason string) (api.Anchor, error)
	// AnchorQuote states to a verifier what the machine is, for its nonce.
	AnchorQuote(ctx context.Context, nonce string) (document string, err error)
	// AnchorIdentity shows a verifier by which keys the TPM is known.
	AnchorIdentity(ctx context.Context) (document string, err error)
	// AnchorProve answers the challenge of a verifier.
	AnchorProve(ctx context.Context, challenge []byte) (document string, err error)
}

// maxOwner bounds the password of a TPM's owner: no digest is longer.
const maxOwner = 64

// argOwner is no text: no question and no log may have it.
var argOwner = object.Argument{Name: "owner", Sig: "ay", Max: maxOwner, Raw: true}

func (s *Server) anchorMethods() []object.Method {
	b := s.backend
	owner := func(c object.Call) string { return string(c.Args[0].([]byte)) }
	answer := func(a api.Anchor, err error) ([]any, error) { return []any{api.Encode(a)}, err }
	return []object.Method{
		{
			Name: "Anchor",
			Doc:  "Returns how the index compares with the counter in the TPM, as an `Anchor`. It does not ask the TPM.",
			Out:  dict("anchor"),
			Call: func(object.Call) ([]any, error) { return answer(b.AnchorStatus(), nil) },
		},
		{
			Name: "AnchorEnable",
			Doc: "Makes a counter in the TPM and binds the index to it; returns the `Anchor`. `owner` is the password of the TPM's owner, empty for none. " +
				"After an error nothing is left in the TPM. `Unchanged` if the anchor is enabled.",
			In: []object.Argument{argOwner, argReason}, Out: dict("anchor"), Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) { return answer(b.AnchorEnable(c.Ctx, c.By, owner(c), c.Text(1))) },
		},
		{
			Name: "AnchorAccept",
			Doc: "Continues with an index that is older than the counter; returns the `Anchor`. Later decisions are forgotten, and grants that were not used " +
				"are revoked. `Unchanged` if the index is not older.",
			In: []object.Argument{argReason}, Out: dict("anchor"), Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(0)); err != nil {
					return nil, err
				}
				return answer(b.AnchorAccept(c.Ctx, c.By, c.Text(0)))
			},
		},
		{
			Name: "AnchorRebind",
			Doc:  "Makes another counter and binds the index to it, if the TPM was cleared or is another one, or the secret of the counter is lost; returns the `Anchor`. `Unchanged` if the counter can be used.",
			In:   []object.Argument{argOwner, argReason}, Out: dict("anchor"), Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				return answer(b.AnchorRebind(c.Ctx, c.By, owner(c), c.Text(1)))
			},
		},
		{
			Name: "AnchorDisable",
			Doc:  "Removes the counter and binds the index to none; returns the `Anchor`. With `leave` it does not use the TPM, and the counter stays there. `Unchanged` if the anchor is not enabled.",
			In:   []object.Argument{argOwner, {Name: "leave", Sig: "b"}, argReason}, Out: dict("anchor"), Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(2)); err != nil {
					return nil, err
				}
				return answer(b.AnchorDisable(c.Ctx, c.By, owner(c), c.Args[1].(bool), c.Text(2)))
			},
		},
		{
			Name: "AnchorQuote",
			Doc: "States the state of the machine to a verifier, as a JSON document that digestctl-anchor(1) verifies. The key that signs lists signs it and, if the anchor is enabled, the TPM as well. " +
				"`nonce` is the verifier's, 8 to 64 bytes as hexadecimal digits.",
			In: []object.Argument{{Name: "nonce", Sig: "s", Max: object.MaxName}}, Out: []object.Argument{{Name: "document", Sig: "s"}}, Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				document, err := b.AnchorQuote(c.Ctx, c.Text(0))
				return []any{document}, err
			},
		},
		{
			Name: "AnchorIdentity",
			Doc:  "Shows a verifier the keys of the TPM, as a JSON document for `digestctl anchor challenge`: the endorsement key with the certificate of the TPM's maker, if the TPM has one, and the attestation key.",
			Out:  []object.Argument{{Name: "document", Sig: "s"}}, Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				document, err := b.AnchorIdentity(c.Ctx)
				return []any{document}, err
			},
		},
		{
			Name: "AnchorProve",
			Doc: "Answers the challenge that `digestctl anchor challenge` made; both are JSON documents. Only the TPM that has the endorsement key and the attestation key can answer. " +
				"`InvalidArgument` if the challenge is for another TPM.",
			In: []object.Argument{{Name: "challenge", Sig: "ay", Max: attest.MaxIdentity, Raw: true}}, Out: []object.Argument{{Name: "document", Sig: "s"}}, Action: actionAnchor,
			Call: func(c object.Call) ([]any, error) {
				document, err := b.AnchorProve(c.Ctx, c.Args[0].([]byte))
				return []any{document}, err
			},
		},
	}
}
