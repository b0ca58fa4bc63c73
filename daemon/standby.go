// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/query"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// Temporary reports whether New failed for a cause that may pass by itself: an
// index that cannot be opened now, a disk that takes no writes, or a system short of
// descriptors or memory.
// Nothing was decided or changed then, and New may be called again.
func Temporary(err error) bool {
	var errno unix.Errno
	return errors.Is(err, store.ErrUnavailable) ||
		errors.As(err, &errno) && slices.Contains([]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS}, errno)
}

// StandbyStatus is the status of a daemon that cannot start for such a cause.
func StandbyStatus(c config.Config, why error, since time.Time) api.Status {
	return api.Status{
		Version: api.Version, Mode: c.Mode, Root: c.Root, ListDirectory: c.Lists, Format: c.Format, Sign: c.Sign, Unsigned: c.Unsigned,
		Since: since, Waiting: true, Places: query.Places(c),
		Problems: []api.Problem{{ID: "standby", Severity: api.SeverityError, Since: since,
			Text:   "digestd is not working: " + why.Error() + "; lists stay as they are, and package managers follow on-unreachable",
			Advice: cmp.Or(api.DiskAdvice(why), "fix the cause") + "; digestd retries automatically, or retry now: systemctl reload digestd"}},
	}
}

// StandbyPatience is how long package managers wait for a daemon whose index
// cannot be opened before they are told: a lock of another program is mostly
// gone within that time. They give up by themselves after 10 s.
const StandbyPatience = 4 * time.Second

// RefuseMeanwhile tells each client that connects to l why the daemon judges nothing, from
// patience after its call until ctx ends, and then returns. A client that connected and got no
// answer waits for the next process that accepts.
func RefuseMeanwhile(ctx context.Context, l *net.UnixListener, patience time.Duration, why func() error) {
	select {
	case <-time.After(patience):
	case <-ctx.Done():
		return
	}
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Now()) })
	defer func() {
		stop()
		l.SetDeadline(time.Time{})
	}()
	for ctx.Err() == nil {
		c, err := l.AcceptUnix()
		switch {
		case err == nil:
			// A peer that does not read at once will not read at all: the answer fits any
			// socket buffer.
			conn := wire.NewConn(c)
			conn.Write(&wire.Error{Text: why().Error()}, 50*time.Millisecond)
			conn.Close()
		case errors.Is(err, net.ErrClosed):
			return
		case ctx.Err() == nil:
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}
