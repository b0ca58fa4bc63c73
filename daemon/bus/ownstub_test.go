// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
)

func (b *stub) Owns(context.Context) ([]api.Own, error)      { return nil, nil }
func (b *stub) Own(context.Context, string) (api.Own, error) { return api.Own{}, nil }

func (b *stub) OwnAppend(_ context.Context, _ api.Actor, _ uint64, data []byte) (uint64, error) {
	b.changed(fmt.Sprintf("append %d", len(data)))
	return 1, nil
}

func (b *stub) OwnPublish(_ context.Context, _ api.Actor, req api.OwnRequest, _ func(string, int, int)) (api.OwnResult, error) {
	b.changed("publish " + req.Name)
	return api.OwnResult{}, nil
}

func (b *stub) OwnRemove(_ context.Context, _ api.Actor, name, _ string, _ func(string, int, int)) (api.OwnResult, error) {
	b.changed("remove " + name)
	return api.OwnResult{}, nil
}

func (b *stub) Order(context.Context, uint32, uint32) ([]api.Ordered, uint32, api.Order, error) {
	return nil, 0, api.Order{}, nil
}

func (b *stub) OrderSet(context.Context, api.Actor, [][]byte, string) (api.Order, error) {
	b.changed("order")
	return api.Order{}, nil
}

func (b *stub) OrderClear(context.Context, api.Actor, string) error {
	b.changed("order clear")
	return nil
}

func (b *stub) OrderPrefetch(context.Context, api.Actor, bool) error {
	b.changed("prefetch")
	return nil
}
