// SPDX-License-Identifier: Apache-2.0

package ownlist

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
)

// OwnRemove removes an own list, and releases the files that were bound to it. It calls
// report for each stage. The error is [api.NotFound] if there is no list of that name.
func (ol *Keeper) OwnRemove(ctx context.Context, by api.Actor, name, reason string, report func(stage string, done, total int)) (api.OwnResult, error) {
	started := time.Now()
	ol.mu.Lock()
	defer ol.mu.Unlock()
	o := ol.Snapshot().Own[name]
	body, bodyErr := ol.OpenOwnBody(o)
	defer body.Unmap()
	var gone *view.Entry
	err := ol.Exec.Decide(ctx, "disown", func(s *ledger.Ledger) (err error) {
		gone, err = s.RemoveOwn(name, by, reason)
		return err
	})
	r := api.OwnResult{Name: name, Version: o.Version}
	if gone != nil {
		r.List, r.Files = gone.Name, gone.Files
	}
	if err != nil {
		return r, err
	}
	if bodyErr == nil {
		err = ol.labels.FreeFiles(ctx, gone, body, nil, &r, report)
	}
	ol.Exec.Hooks.Bodies.Remove(ledger.OwnBody(ol.Config.State, o))
	r.Duration = time.Since(started)
	return r, err
}
