// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// typeSoftwareUpdate is AUDIT_SOFTWARE_UPDATE, which rpm uses to report what it installed; a
// refusal belongs beside those records. The kernel reserves the types AUDIT_INTEGRITY_* for
// itself, and tools take AUDIT_USER_AVC for a decision of SELinux.
const typeSoftwareUpdate = 1138

// ErrNoTrail means that this machine has no audit trail, or none that this process may write to.
var ErrNoTrail = errors.New("there is no audit trail to write to")

// Trail writes refusals to the kernel's audit trail. Only one goroutine may use it.
type Trail struct {
	fd  int
	seq uint32
}

// OpenTrail connects to the kernel, or returns ErrNoTrail.
func OpenTrail() (*Trail, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTrail, err)
	}
	t := &Trail{fd: fd}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoTrail, err)
	}
	return t, nil
}

// Close ends the connection.
func (t *Trail) Close() error { return unix.Close(t.fd) }

// Send writes e to the trail if e is a refusal, and waits until the kernel has taken it. The
// kernel may delay this while its trail is full.
func (t *Trail) Send(e record.Event) error {
	if !Lookup(e.Kind).Refusal {
		return nil
	}
	t.seq++
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(t.fd, request(t.seq, trailText(e)), 0, kernel); err != nil {
		return fmt.Errorf("%w: %w", ErrNoTrail, err)
	}
	answer := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(t.fd, answer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot write to the audit trail: %w", err)
		}
		if seq, err := verdict(answer[:n]); seq == t.seq {
			return err
		}
	}
}

// Confirm returns at once: the kernel has confirmed each message.
func (t *Trail) Confirm(context.Context) error { return nil }

// headerSize is the size of a netlink header: length, type, flags, sequence number, port.
const headerSize = 16

// request returns a message with its header, in the byte order of the machine.
func request(seq uint32, text string) []byte {
	b := make([]byte, 0, headerSize+len(text)+1)
	b = binary.NativeEndian.AppendUint32(b, uint32(headerSize+len(text)+1))
	b = binary.NativeEndian.AppendUint16(b, typeSoftwareUpdate)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(append(b, text...), 0)
}

// verdict parses the kernel's answer: the message that it is about, and the result.
func verdict(answer []byte) (seq uint32, err error) {
	if len(answer) < headerSize+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return 0, nil
	}
	seq = binary.NativeEndian.Uint32(answer[8:])
	if code := int32(binary.NativeEndian.Uint32(answer[headerSize:])); code != 0 {
		return seq, fmt.Errorf("%w: %w", ErrNoTrail, unix.Errno(-code))
	}
	return seq, nil
}

// maxTrail bounds a message; the kernel takes no more than 8970 bytes.
const maxTrail = 2048

// trailText returns e in the form of rpm's own records, with res=failed. Text that could end a
// value is written in hexadecimal, as audit tools expect it.
func trailText(e record.Event) string {
	exe, _ := os.Executable()
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			value = "?"
		}
		fmt.Fprintf(&b, "%s=%s ", name, quoted(value))
	}
	b.WriteString("op=" + e.Kind + " ")
	add("sw", e.Package)
	b.WriteString("sw_type=rpm ")
	add("reason", e.Reason)
	add("list", e.List)
	b.WriteString("actor_uid=" + strconv.FormatUint(uint64(e.UID), 10) + " actor_pid=" + strconv.FormatUint(uint64(e.PID), 10) + " ")
	add("unit", e.Unit)
	add("comm", "digestd")
	add("exe", exe)
	b.WriteString("hostname=? addr=? terminal=? res=failed")
	return b.String()
}

func quoted(s string) string {
	const most = maxTrail / 16
	if len(s) > most {
		s = s[:most]
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '"' || s[i] >= 0x7f {
			return strings.ToUpper(fmt.Sprintf("%x", s))
		}
	}
	if s == "?" {
		return s
	}
	return `"` + s + `"`
}
