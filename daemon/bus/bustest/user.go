// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// ConnectAs connects to the bus as another user. The test must run as root.
func (b *Bus) ConnectAs(uid int) *dbus.Conn {
	b.tb.Helper()
	stream, err := dialAs(strings.TrimPrefix(b.Address, "unix:path="), uid)
	if err != nil {
		b.tb.Fatal(err)
	}
	conn, err := dbus.NewConn(stream, dbus.WithContext(context.Background()))
	if err == nil {
		err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(uid))})
	}
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		b.tb.Fatalf("cannot connect as uid %d: %v", uid, err)
	}
	b.tb.Cleanup(func() { conn.Close() })
	return conn
}

// dialAs connects from a thread that is that user for as long as it takes: the
// kernel tells the other side who connected, not who holds the connection.
func dialAs(path string, uid int) (net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return nil, fmt.Errorf("cannot become uid %d: %w", uid, errno)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same); errno != 0 {
		panic("cannot become root again: " + errno.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s as uid %d: %w", path, uid, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	return net.FileConn(file)
}
