// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/kernel"
)

// KernelLoop follows the kernel's .blacklist: by its notifications, or else by
// looking, if it can change.
func (rc *Reconciler) KernelLoop(ctx context.Context) error {
	changed := func() { rc.TrustChanged(ctx, "the kernel's .blacklist changed") }
	ring, err := rc.Keyrings.Find(kernel.RingBlacklist)
	if err == nil {
		switch err := ring.Watch(ctx, changed); {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, kernel.ErrNoNotifications):
			rc.Logger.Warn("kernel does not report changes to .blacklist", "error", err)
		}
	}
	pace, auto, err := rc.Config.Poll()
	if err != nil || pace == 0 || auto && !ring.Writable() {
		return err // nothing comes to it once the machine is up
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for stamp := rc.blacklistStamp(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if now := rc.blacklistStamp(); now != stamp {
			stamp = now
			changed()
		}
	}
}

// blacklistStamp is another one whenever .blacklist is.
func (rc *Reconciler) blacklistStamp() string {
	ring, err := rc.Keyrings.Find(kernel.RingBlacklist)
	if err != nil {
		return strings.Join(failpoint.Blacklisted(), " ")
	}
	ids, err := ring.IDs()
	return fmt.Sprint(ids, err, failpoint.Blacklisted())
}
