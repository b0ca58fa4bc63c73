// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// keyMethods are those about the keys that vouch for packages.
func (s *Server) keyMethods() []object.Method {
	b := s.backend
	argKey := object.Argument{Name: "key", Sig: "s", Max: object.MaxName}
	change := func(name, doc string, do func(c object.Call) (api.Key, error)) object.Method {
		return object.Method{
			Name: name, Doc: doc, In: []object.Argument{argKey, argReason}, Out: dict("key"), Action: actionKeys,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				key, err := do(c)
				return []any{api.Encode(key)}, err
			},
		}
	}
	return []object.Method{
		{
			Name: "Keys",
			Doc:  "Returns a page of the keys (`Key`) that vouch for packages or ever did, and of the keys that sign lists, by fingerprint.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("keys"),
			Call: func(c object.Call) ([]any, error) { return pageOf(c, b.Keys) },
		},
		{
			Name: "Key",
			Doc:  "Returns one key by its fingerprint or the end of it.",
			In:   []object.Argument{argKey}, Out: dict("key"),
			Call: func(c object.Call) ([]any, error) {
				key, err := b.Key(c.Ctx, c.Text(0))
				return []any{api.Encode(key)}, err
			},
		},
		change("KeyRevoke", "Revokes a key and withdraws all lists it vouches for, until an administrator restores it, and returns the `Key`.",
			func(c object.Call) (api.Key, error) { return b.KeyRevoke(c.Ctx, c.By, c.Text(0), c.Text(1)) }),
		{
			Name: "SignerRotate",
			Doc:  "Changes the key that signs lists and returns its `Certificate`. With `prepare_only` it only makes the next certificate, so that you can enrol it.",
			In:   []object.Argument{{Name: "prepare_only", Sig: "b"}, argReason}, Out: dict("certificate"), Action: actionKeys,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				cert, err := b.SignerRotate(c.Ctx, c.By, c.Args[0].(bool), c.Text(1))
				return []any{api.Encode(cert)}, err
			},
		},
		change("KeyRestore", "Lifts a revocation that the administrator made, and returns the `Key`.",
			func(c object.Call) (api.Key, error) { return b.KeyRestore(c.Ctx, c.By, c.Text(0), c.Text(1)) }),
	}
}
