// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of include/uapi/linux/watch_queue.h, which package unix does not have.
const (
	notificationPipe = unix.O_EXCL // a flag of pipe2(2)
	watchQueueSize   = 0x5760      // IOC_WATCH_QUEUE_SET_SIZE
	watchTypeMeta    = 0
	watchTypeKey     = 1
	watchMetaLoss    = 1
	watchLength      = 0x7f // of a record, in info
	watchRecords     = 256
)

// ErrNoNotifications means that the kernel does not report changes of keys.
var ErrNoNotifications = errors.New("the kernel has no key notifications")

// Notifications reports whether the kernel reports changes of keys (CONFIG_KEY_NOTIFICATIONS).
func (ks *Keyrings) Notifications() bool {
	var caps [2]byte
	_, _, errno := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_CAPABILITIES, uintptr(unsafe.Pointer(&caps)), uintptr(len(caps)))
	return errno == 0 && caps[1]&unix.KEYCTL_CAPS1_NOTIFICATIONS != 0
}

// Watch calls fn after every change of the keyring, until ctx ends. Lost reports count as one
// change. Without kernel support it returns [ErrNoNotifications] at once.
func (r Keyring) Watch(ctx context.Context, fn func()) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], notificationPipe|unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("%w: %w", ErrNoNotifications, err)
	}
	out := os.NewFile(uintptr(fds[0]), "key notifications")
	in := os.NewFile(uintptr(fds[1]), "key notifications")
	defer in.Close()
	defer out.Close()
	if err := unix.IoctlSetInt(fds[1], watchQueueSize, watchRecords); err != nil {
		return fmt.Errorf("cannot watch keyring %s: %w", r.Name(), err)
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_WATCH_KEY, r.ID, fds[1], 0, 0); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = ErrNoNotifications
		}
		return fmt.Errorf("cannot watch keyring %s: %w", r.Name(), err)
	}
	stop := context.AfterFunc(ctx, func() { out.Close() })
	defer stop()
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("cannot watch keyring %s: %w", r.Name(), err)
		case err != nil:
			return fmt.Errorf("cannot watch keyring %s: the kernel ended it", r.Name())
		case changed(buf[:n]):
			fn()
		}
	}
}

// changed reports whether the result of one read contains a change. It consists of records: type
// and subtype (u32), length and flags (u32), and data that depends on the type.
func changed(buf []byte) (yes bool) {
	for len(buf) >= 8 {
		head := binary.NativeEndian.Uint32(buf)
		length := int(binary.NativeEndian.Uint32(buf[4:]) & watchLength)
		kind, subtype := head&0xffffff, head>>24
		yes = yes || kind == watchTypeKey || kind == watchTypeMeta && subtype == watchMetaLoss
		if length < 8 || length > len(buf) {
			return true // a record that cannot be parsed may be a change
		}
		buf = buf[length:]
	}
	return yes
}
