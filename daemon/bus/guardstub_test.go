// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
)

func (b *stub) Guard(context.Context) (api.Guard, error) { return b.Recent(), nil }

func (b *stub) Recent() api.Guard {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.guard
}

func (b *stub) Judge(_ context.Context, w *api.Why) {
	w.Guard = api.GuardVerdict{Mode: "audit", Text: "judged " + w.Path}
}

func (b *stub) GuardDenials(_ context.Context, offset, limit uint32) ([]api.GuardDenial, uint32, error) {
	return make([]api.GuardDenial, 3), 3, nil
}

func (b *stub) GuardCandidates(context.Context, uint32, uint32) ([]api.GuardCandidate, uint32, error) {
	return nil, 0, nil
}

func (b *stub) GuardSwitch(_ context.Context, by api.Actor, req api.GuardRequest) (api.Guard, error) {
	b.changed(fmt.Sprintf("GuardSwitch %+v", req))
	return api.Guard{Mode: req.Mode}, nil
}

func (b *stub) GuardExempt(_ context.Context, by api.Actor, req api.GuardExemptRequest) (api.Guard, error) {
	b.changed(fmt.Sprintf("GuardExempt %+v", req))
	return api.Guard{}, nil
}

func (b *stub) GuardLearn(_ context.Context, _ api.Actor, list string, digests []string, _ string, _ func(string, int, int)) (api.OwnResult, error) {
	b.changed(fmt.Sprintf("GuardLearn %s %d", list, len(digests)))
	return api.OwnResult{Name: list}, nil
}
