// SPDX-License-Identifier: Apache-2.0

package sieve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// systemSocket is where the D-Bus specification puts the system bus.
const systemSocket = "unix:path=/var/run/dbus/system_bus_socket"

// Address holds the sockets of an address, in order of preference. The first
// byte of an abstract one is '@'.
type Address []string

// ParseAddress understands "system" and addresses of Unix sockets, the only
// transport over which the bus can vouch for the caller.
func ParseAddress(address string) (Address, error) {
	if address == "system" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
		if address == "" {
			address = systemSocket
		}
	}
	var d Address
	for part := range strings.SplitSeq(address, ";") {
		keys, ok := strings.CutPrefix(part, "unix:")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(keys, ",") {
			key, value, _ := strings.Cut(pair, "=")
			if key != "path" && key != "abstract" {
				continue
			}
			name, err := dbus.UnescapeBusAddressValue(value)
			if err != nil || name == "" {
				return nil, fmt.Errorf("cannot use D-Bus address %q: bad %s", address, key)
			}
			if key == "abstract" {
				name = "@" + name
			}
			d = append(d, name)
		}
	}
	if len(d) == 0 {
		return nil, fmt.Errorf(`cannot use D-Bus address %q: want "system" or unix:path=…`, address)
	}
	return d, nil
}

// Open connects to the first socket that answers.
func (a Address) Open(ctx context.Context, sift Sift) (*Conn, error) {
	var errs []error
	for _, name := range a {
		var nd net.Dialer
		c, err := nd.DialContext(ctx, "unix", name)
		if err == nil {
			return New(c, sift), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
