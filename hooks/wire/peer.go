// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Peer has the credentials of the process that made a connection, at that time (SO_PEERCRED,
// unix(7)), in the namespaces of this process.
type Peer struct {
	UID uint32
	GID uint32
	PID uint32 // 0 if the process is not visible from here
}

// PeerCred returns the credentials of the process at the other end of c.
func PeerCred(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("cannot ask for peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("cannot ask for peer: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: uint32(cred.Pid)}, nil
}
