// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestd/digestd/daemon/host"
)

// TestStartIsBounded: a boot waits for the first comparison, but not for one that
// takes long. One that waits for a transaction is in integration/system.
func TestStartIsBounded(t *testing.T) {
	r := &Reconciler{Host: &host.Host{Logger: slog.New(slog.DiscardHandler)}}
	for _, test := range []struct {
		name  string
		takes time.Duration
		want  time.Duration
	}{
		{"short", time.Second, time.Second},
		{"long", time.Hour, readyLimit},
	} {
		synctest.Test(t, func(t *testing.T) {
			synced := make(chan struct{})
			time.AfterFunc(test.takes, func() { close(synced) })
			started := time.Now()
			r.AwaitSync(t.Context(), synced)
			if took := time.Since(started); took != test.want {
				t.Errorf("%s: ready after %v, want %v", test.name, took, test.want)
			}
		})
	}
}
