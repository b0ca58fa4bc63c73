// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// ownerTries is how often a call is sent whose receiver left the bus before the
// call arrived, as a digestd does that restarts.
const ownerTries = 2

// ownerRule matches the announcements of the process that owns digestd's name.
var ownerRule = []dbus.MatchOption{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName),
	dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, api.BusName)}

// isGone reports whether the bus could not deliver a call: it was sent to somebody
// who has left.
func isGone(err error) bool {
	name := BusError(err)
	return name == "ServiceUnknown" || name == "NameHasNoOwner"
}

// await returns the unique name of the daemon, and lets the bus start one that is
// not there. If the start fails, the bus says so late or not at all.
func (c *Client) await(ctx context.Context) (owner string, err error) {
	if owner = c.owner(ctx); owner != "" {
		return owner, nil
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case c.flags&dbus.FlagNoAutoStart != 0:
		return "", &Unreachable{Reason: errors.New("no process owns its name")}
	}
	start, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = c.conn.BusObject().CallWithContext(start, busName+".StartServiceByName", 0, api.BusName, uint32(0)).Err
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if owner = c.owner(ctx); owner != "" {
		return owner, nil
	}
	return "", &Unreachable{Reason: err}
}

// owner returns the unique name of the process that has the daemon's name, "" for nobody, and
// lets messages from there count.
func (c *Client) owner(ctx context.Context) (owner string) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if c.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, api.BusName).Store(&owner) != nil {
		owner = ""
	}
	c.believed.answered(owner)
	return owner
}
