// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// JournalDir is the directory of journald's sockets.
const JournalDir = "/run/systemd/journal"

// Limits for sending one record while journald is busy, and for the confirmation that all
// records are on disk.
const (
	sendTime    = 2 * time.Second
	confirmTime = 30 * time.Second
)

// ErrLost means that journald ended before it confirmed all records. The caller must send
// everything after the last confirmation again.
var ErrLost = errors.New("journald stopped before it confirmed the records")

// Journal sends records to journald in its native protocol. Only one goroutine may use it.
type Journal struct {
	dir  string
	conn *net.UnixConn
	open bool // records were sent over conn that are not confirmed yet
}

// NewJournal returns the journal whose sockets are in dir.
func NewJournal(dir string) *Journal { return &Journal{dir: dir} }

// Send sends the record of e to journald. It waits a limited time while journald is busy.
// Records that journald has not read yet are in its socket: if journald was restarted, they are
// lost and the error is ErrLost.
func (j *Journal) Send(e record.Event) error {
	datagram := encode(Record(e))
	// A restarted journald has a new socket of the same name.
	fresh := j.conn == nil
	err := j.write(datagram)
	if err != nil && !fresh && j.conn == nil && !errors.Is(err, ErrLost) {
		err = j.write(datagram)
	}
	return err
}

func (j *Journal) write(datagram []byte) error {
	if j.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: filepath.Join(j.dir, "socket"), Net: "unixgram"})
		if err != nil {
			return fmt.Errorf("cannot reach the journal: %w", err)
		}
		j.conn = conn
	}
	j.conn.SetWriteDeadline(time.Now().Add(sendTime))
	_, err := j.conn.Write(datagram)
	switch {
	case err == nil:
		j.open = true
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the journal accepts no records: %w", err)
	case j.open:
		j.Close()
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	j.Close()
	return fmt.Errorf("cannot write to the journal: %w", err)
}

// Close closes the connection. The next Send opens another.
func (j *Journal) Close() error {
	if j.conn == nil {
		return nil
	}
	err := j.conn.Close()
	j.conn, j.open = nil, false
	return err
}

// Confirm waits until all records are on disk; it asks journald over its Varlink socket. A
// journald without that socket, before systemd 242, counts as having confirmed.
func (j *Journal) Confirm(ctx context.Context) error {
	if err := j.synchronize(ctx); err != nil {
		return err
	}
	// The confirmation is from another journald if the socket is gone to which conn leads.
	if err := j.probe(); err != nil {
		return j.lost(err)
	}
	j.open = false
	return nil
}

// probe returns an error if nobody is at the other end. It sends an empty datagram, which is not
// a record.
func (j *Journal) probe() error {
	if j.conn == nil {
		return nil
	}
	raw, err := j.conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		_, err = unix.SendmsgN(int(fd), nil, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if errors.Is(err, unix.EAGAIN) {
		err = nil // a busy journald is there
	}
	return errors.Join(cerr, err)
}

func (j *Journal) synchronize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(j.dir, "io.systemd.journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return j.lost(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte(`{"method":"io.systemd.Journal.Synchronize"}` + "\x00")); err != nil {
		return j.lost(err)
	}
	const most = 4096
	reply := make([]byte, 0, most)
	for len(reply) < most {
		n, err := conn.Read(reply[len(reply):most])
		reply = reply[:len(reply)+n]
		if end := bytes.IndexByte(reply, 0); end >= 0 {
			if bytes.Contains(reply[:end], []byte(`"error"`)) {
				return fmt.Errorf("cannot make journald write its journal: %s", reply[:end])
			}
			return nil
		}
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("cannot make journald write its journal: %w", context.Cause(ctx))
		}
		if err != nil {
			return j.lost(err)
		}
	}
	return errors.New("cannot make journald write its journal: the answer is too long")
}

// lost closes the connection after journald ended.
func (j *Journal) lost(err error) error {
	j.Close()
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// encode encodes fields for journald: NAME=value and a newline, or, for a value with a newline,
// the name, the length and the value. So no value can end a field.
func encode(fields []Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f.Name)
		if strings.ContainsRune(f.Value, '\n') {
			b.WriteByte('\n')
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(f.Value))))
		} else {
			b.WriteByte('=')
		}
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
