// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"strconv"

	"github.com/digestd/digestd/daemon/ledger"
)

// remakeOwn signs and stages own lists again, from the bodies that are kept.
func (rc *Reconciler) remakeOwn(ctx context.Context, work []*ledger.OwnWork) {
	if len(work) == 0 {
		return
	}
	stager := rc.Dir.Stager("own" + strconv.FormatUint(rc.Serial.Add(1), 36))
	for _, w := range work {
		if w.Err = ctx.Err(); w.Err != nil {
			continue
		}
		body, err := rc.OpenOwnBody(w.Record)
		if err == nil {
			w.Made, err = rc.MakeOwn(stager, body)
			body.Unmap()
		}
		w.Err = err
	}
}
