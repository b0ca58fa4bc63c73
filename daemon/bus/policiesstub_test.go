// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

func (b *stub) Policies(context.Context) ([]api.Policy, error) { return nil, nil }
func (b *stub) Policy(_ context.Context, name string) (api.Policy, error) {
	return api.Policy{Name: name}, nil
}

func (b *stub) PolicyForget(_ context.Context, _ api.Actor, name, _ string) (api.Policy, error) {
	b.changed("forget " + name)
	return api.Policy{Name: name}, nil
}
