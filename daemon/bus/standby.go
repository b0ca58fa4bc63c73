// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// standby is the backend of a daemon that cannot judge yet: it answers Status
// and knows no keys. Every other method of ours is refused before it is called;
// see bound.Call.
type standby struct {
	Backend
	status func() api.Status
}

// Standby returns a Backend that tells what status returns and answers every
// other call with code Busy and the first problem of that status.
func Standby(status func() api.Status) Backend { return &standby{status: status} }

func (b *standby) Status() api.Status                      { return b.status() }
func (b *standby) Kernel() api.Kernel                      { return api.Kernel{} }
func (b *standby) Keys(context.Context) ([]api.Key, error) { return nil, nil }
func (b *standby) Recent() api.Guard                       { return api.Guard{Wanted: api.GuardOff, Mode: api.GuardOff} }
func (b *standby) AnchorStatus() api.Anchor {
	return api.Anchor{Where: "off", Standing: api.AnchorNone}
}
func (b *standby) PackagesAnnounced() {}

// refuses returns why a method of an interface cannot be called now.
func (b *standby) refuses(iface, method string) error {
	if iface != api.Interface || method == "Status" || method == "Keys" {
		return nil
	}
	e := &api.Error{Code: api.Busy, Message: "digestd is not ready", Advice: "see digestctl status"}
	if st := b.status(); len(st.Problems) > 0 {
		e.Message += ": " + st.Problems[0].Text
	}
	return e
}
