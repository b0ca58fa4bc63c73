// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// systemSocket is where the D-Bus specification puts the system bus.
const systemSocket = "unix:path=/var/run/dbus/system_bus_socket"

// dialer holds the sockets of an address, in order of preference. The first
// byte of an abstract one is '@'.
type dialer []string

// parseAddress understands "system" and addresses of Unix sockets, the only
// transport over which the bus can vouch for the caller.
func parseAddress(address string) (dialer, error) {
	if address == "system" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
		if address == "" {
			address = systemSocket
		}
	}
	var d dialer
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

// open connects to the first socket that answers.
func (d dialer) open(ctx context.Context) (io.ReadWriteCloser, error) {
	var errs []error
	for _, name := range d {
		var nd net.Dialer
		c, err := nd.DialContext(ctx, "unix", name)
		if err == nil {
			return plainConn{c, bufio.NewReader(c)}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// plainConn is a connection over which godbus never negotiates the passing of
// file descriptors: it would keep those that callers attach open for ever.
type plainConn struct {
	net.Conn
	buffered *bufio.Reader
}

func (c plainConn) Read(b []byte) (int, error) { return c.buffered.Read(b) }
