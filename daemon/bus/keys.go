// SPDX-License-Identifier: Apache-2.0

package bus

import "github.com/digestd/digestd/daemon/api"

// keyMethods are those about the keys that vouch for packages.
func (s *Server) keyMethods() []method {
	b := s.backend
	argKey := argument{name: "key", sig: "s", max: maxName}
	change := func(name string, do func(c call) (api.Key, error)) method {
		return method{
			name: name, in: []argument{argKey, argReason}, out: dict("key"), action: actionKeys,
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
			name: "Keys", out: dicts("keys"),
			call: func(c call) ([]any, error) {
				keys, err := b.Keys(c.ctx)
				return []any{api.EncodeAll(keys)}, err
			},
		},
		{
			name: "Key", in: []argument{argKey}, out: dict("key"),
			call: func(c call) ([]any, error) {
				key, err := b.Key(c.ctx, c.text(0))
				return []any{api.Encode(key)}, err
			},
		},
		change("KeyRevoke", func(c call) (api.Key, error) { return b.KeyRevoke(c.ctx, c.by, c.text(0), c.text(1)) }),
		{
			name: "SignerRotate", in: []argument{{name: "prepare_only", sig: "b"}, argReason}, out: dict("certificate"), action: actionKeys,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				cert, err := b.SignerRotate(c.ctx, c.by, c.args[0].(bool), c.text(1))
				return []any{api.Encode(cert)}, err
			},
		},
		change("KeyRestore", func(c call) (api.Key, error) { return b.KeyRestore(c.ctx, c.by, c.text(0), c.text(1)) }),
	}
}
