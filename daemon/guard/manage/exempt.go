// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"errors"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/store/record"
)

// GuardExempt exempts the containers of a cgroup until the machine starts again, or ends that,
// and records who did it. If others than root can put processes into the group, the exemption
// needs force and a reason.
func (m *Manager) GuardExempt(ctx context.Context, by api.Actor, req api.GuardExemptRequest) (api.Guard, error) {
	if req.Force && strings.TrimSpace(req.Reason) == "" {
		return api.Guard{}, api.Errorf(api.InvalidArgument, "to force an exemption needs a reason: it is recorded with your name")
	}
	e := protocol.Exemption{Group: req.Group, End: req.End, Force: req.Force, Reason: req.Reason, For: &protocol.For{UID: by.UID, PID: by.PID, Unit: cut(by.Unit)}}
	err := m.ask(ctx, func(ctx context.Context, c *protocol.Client) error { return c.Exempt(ctx, e) })
	if errors.Is(err, protocol.ErrRefused) {
		err = &api.Error{Code: api.Failed, Message: "cannot change what is exempt: " + err.Error(),
			Advice: "a cgroup that others than root can fill is exempted with --force and --reason alone"}
	}
	if err != nil {
		return api.Guard{}, err
	}
	text := req.Group
	if req.Reason != "" {
		text += ": " + req.Reason
	}
	m.Setup.Record(ctx, record.Event{Kind: audit.KindGuardExempted, Reason: e.What(), Text: text, UID: by.UID, PID: by.PID, Unit: by.Unit})
	return m.Guard(ctx)
}
