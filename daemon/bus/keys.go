// SPDX-License-Identifier: Apache-2.0

package bus

import "github.com/digestd/digestd/daemon/api"

// keyMethods are those about the keys that vouch for packages.
func (s *Server) keyMethods() []method {
	b := s.backend
	argKey := argument{name: "key", sig: "s", max: maxName}
	change := func(name, doc string, do func(c call) (api.Key, error)) method {
		return method{
			name: name, doc: doc, in: []argument{argKey, argReason}, out: dict("key"), action: actionKeys,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				key, err := do(c)
				return []any{api.Encode(key)}, err
			},
		}
	}
	return []method{
		{
			name: "Keys",
			doc:  "Returns a page of the keys (`Key`) that vouch for packages or ever did, and of those that sign lists, by fingerprint.",
			in:   []argument{argOffset, argLimit}, out: paged("keys"),
			call: func(c call) ([]any, error) { return pageOf(c, b.Keys) },
		},
		{
			name: "Key",
			doc:  "Returns one key by its fingerprint or the end of it.",
			in:   []argument{argKey}, out: dict("key"),
			call: func(c call) ([]any, error) {
				key, err := b.Key(c.ctx, c.text(0))
				return []any{api.Encode(key)}, err
			},
		},
		change("KeyRevoke", "Withdraws all that a key vouches for, until somebody lifts that, and returns the `Key`.",
			func(c call) (api.Key, error) { return b.KeyRevoke(c.ctx, c.by, c.text(0), c.text(1)) }),
		{
			name: "SignerRotate",
			doc:  "Changes the key that signs lists and returns its `Certificate`. With `prepare_only` it makes the next one, for it to be enrolled, and changes nothing.",
			in:   []argument{{name: "prepare_only", sig: "b"}, argReason}, out: dict("certificate"), action: actionKeys,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				cert, err := b.SignerRotate(c.ctx, c.by, c.args[0].(bool), c.text(1))
				return []any{api.Encode(cert)}, err
			},
		},
		change("KeyRestore", "Lifts a revocation that the administrator made, and returns the `Key`.",
			func(c call) (api.Key, error) { return b.KeyRestore(c.ctx, c.by, c.text(0), c.text(1)) }),
	}
}
