// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Unreachable means that there is no bus, or no digestd on it.
type Unreachable struct {
	Bus    string // address of the bus that cannot be reached
	Reason error
}

func (e *Unreachable) Error() string {
	if e.Bus != "" {
		return fmt.Sprintf("cannot reach D-Bus at %s: %v", e.Bus, e.Reason)
	}
	return "cannot reach digestd: it is not on the bus"
}

func (e *Unreachable) Unwrap() error { return e.Reason }

// errBusLeft is why signals end.
var errBusLeft = errors.New("the connection to the bus was lost")

// BusError returns the name of an error of D-Bus itself, such as NoReply or
// UnknownMethod, and "" for any other error.
func BusError(err error) string {
	var remote dbus.Error
	if !errors.As(err, &remote) {
		return ""
	}
	return strings.TrimPrefix(remote.Name, busName+".Error.")
}
