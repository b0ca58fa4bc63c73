// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// The message is a netlink message of the type that rpm uses for software.
func TestTrailMessage(t *testing.T) {
	got := request(7, "op=x res=failed")
	n := binary.NativeEndian
	if len(got) != 32 || n.Uint32(got) != 32 || n.Uint16(got[4:]) != 1138 || n.Uint16(got[6:]) != 5 || n.Uint32(got[8:]) != 7 ||
		n.Uint32(got[12:]) != 0 || string(got[16:]) != "op=x res=failed\x00" {
		t.Errorf("%q", got)
	}
	text := trailText(record.Event{Kind: "refused", Package: "evil\" res=success-1-1.noarch", Reason: "unsigned", UID: 1, PID: 2})
	if !strings.HasPrefix(text, `op=refused sw=6576696C2220`) || !strings.Contains(text, ` reason="unsigned" list=? actor_uid=1 actor_pid=2 unit=? `) ||
		strings.Count(text, "res=") != 1 || !strings.HasSuffix(text, " res=failed") {
		t.Errorf("%q", text)
	}
	long := strings.Repeat("a", 1<<20)
	if text := trailText(record.Event{Kind: "refused", Package: long, Reason: long, List: long, Unit: long}); len(text) > maxTrail {
		t.Errorf("%d bytes", len(text))
	}
}

func TestTrailVerdict(t *testing.T) {
	answer := func(seq uint32, code int32) []byte {
		b := make([]byte, 36)
		binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_ERROR)
		binary.NativeEndian.PutUint32(b[8:], seq)
		binary.NativeEndian.PutUint32(b[16:], uint32(code))
		return b
	}
	if seq, err := verdict(answer(5, 0)); seq != 5 || err != nil {
		t.Errorf("accepted: %d, %v", seq, err)
	}
	if seq, err := verdict(answer(5, -int32(unix.EPERM))); seq != 5 || !errors.Is(err, unix.EPERM) || !errors.Is(err, ErrNoTrail) {
		t.Errorf("refused: %d, %v", seq, err)
	}
	for _, short := range [][]byte{nil, answer(5, 0)[:19], make([]byte, 36)} {
		if seq, err := verdict(short); seq != 0 || err != nil {
			t.Errorf("%q: %d, %v", short, seq, err)
		}
	}
}

// The kernel takes it, where it takes anything from this process: the type is
// one that user space may use.
func TestTrailOfTheKernel(t *testing.T) {
	trail, err := OpenTrail()
	if err != nil {
		t.Skip("this kernel has no audit trail:", err)
	}
	defer trail.Close()
	err = trail.Send(record.Event{Kind: "rollback-refused", Package: "digestd-test-1-1.noarch", Reason: "test"})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ECONNREFUSED) {
		t.Skip("this process may not write to the audit trail:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Other decisions than refusals do not go there.
	before := trail.seq
	if err := trail.Send(record.Event{Kind: "published"}); err != nil || trail.seq != before {
		t.Errorf("sent %d messages, %v", trail.seq-before, err)
	}
}
