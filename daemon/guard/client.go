// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/kernel/guard"
)

// Client tells digestd-guard what active lists hold. It is for one goroutine. After
// an error that does not wrap [ErrRefused] its connection is broken and nobody knows
// how much of the last change was done: dial again, and compare commits.
type Client struct{ c conn }

// ErrRefused is wrapped by errors that digestd-guard answered with. The connection
// goes on.
var ErrRefused = errors.New("digestd-guard refused")

// Dial connects to digestd-guard.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to digestd-guard: %w", err)
	}
	return NewClient(c), nil
}

// NewClient speaks over a connection that is already there.
func NewClient(c net.Conn) *Client { return &Client{c: conn{Conn: c}} }

// Close ends the connection. Changes that were answered stay.
func (c *Client) Close() error { return c.c.Close() }

// Admit counts one list more for each digest. When it returns nil, contents with them
// run, from the next exec on; SetCommit has to follow, or a restart compares.
func (c *Client) Admit(ctx context.Context, digests []guard.Digest) error {
	return c.each(ctx, kindAdmit, digests)
}

// Expel counts one list less for each digest. When it returns nil, contents that no
// other list holds are refused, from the next exec on; SetCommit has to follow, or a
// restart compares.
func (c *Client) Expel(ctx context.Context, digests []guard.Digest) error {
	return c.each(ctx, kindExpel, digests)
}

func (c *Client) each(ctx context.Context, k kind, digests []guard.Digest) error {
	for part := range slices.Chunk(digests, perFrame) {
		if _, err := c.exchange(ctx, k, appendDigests(nil, part), kindDone); err != nil {
			return err
		}
	}
	return nil
}

// Watch waits until the state of the guard is another one than the one known, which a former
// call returned; 0: none. It ends with ctx, or when digestd-guard does. See [Keeper.Watch].
func (c *Client) Watch(ctx context.Context, known uint64) (state uint64, err error) {
	if err := c.send(ctx, kindWatch, binary.BigEndian.AppendUint64(nil, known)); err != nil {
		return 0, err
	}
	got, answer, err := c.c.read(ctx, time.Time{})
	switch {
	case err != nil:
		return 0, err
	case got == kindError:
		return 0, fmt.Errorf("%w: %s", ErrRefused, answer)
	case got != kindStateIs || len(answer) != 8:
		return 0, fmt.Errorf("%w: answer %#x of %d bytes to a watch", ErrProtocol, byte(got), len(answer))
	}
	return binary.BigEndian.Uint64(answer), nil
}

// Checked tells what a check of the files that the machine needs has found; see [Keeper.Checked].
func (c *Client) Checked(ctx context.Context, found Check) error {
	data, err := json.Marshal(found)
	if err == nil {
		_, err = c.exchange(ctx, kindChecked, data, kindDone)
	}
	return err
}

// SetCommit says with which commit of the index, not 0, the guard agrees now.
func (c *Client) SetCommit(ctx context.Context, n uint64) error {
	_, err := c.exchange(ctx, kindCommit, binary.BigEndian.AppendUint64(nil, n), kindDone)
	return err
}

// Replace makes the guard's digests those of all, each with the number of active lists
// that hold it, and commit that with which it agrees then. It adds before it removes,
// so what is in both runs all the while. total is how many will come, at least.
func (c *Client) Replace(ctx context.Context, commit uint64, total int, all iter.Seq2[guard.Digest, uint32]) error {
	if total < 0 || uint64(total) > 1<<30 {
		return fmt.Errorf("cannot replace digests: %d are too many", total)
	}
	if _, err := c.exchange(ctx, kindReplace, binary.BigEndian.AppendUint32(nil, uint32(total)), kindDone); err != nil {
		return err
	}
	part := make([]byte, 0, min(max(total, 1), perFrame)*partSize)
	for d, lists := range all {
		part = binary.BigEndian.AppendUint32(append(part, d[:]...), lists)
		if len(part) == cap(part) {
			if err := c.send(ctx, kindPart, part); err != nil {
				return err
			}
			part = part[:0]
		}
	}
	if len(part) > 0 {
		if err := c.send(ctx, kindPart, part); err != nil {
			return err
		}
	}
	_, err := c.exchange(ctx, kindEnd, binary.BigEndian.AppendUint64(nil, commit), kindDone)
	return err
}

// SetLargest says how many bytes the largest file has that an active list holds; 0 if that is
// not known. The guard refuses larger ones without hashing them, so a rise has to come
// before Admit, and a fall after Expel.
func (c *Client) SetLargest(ctx context.Context, size uint64) error {
	_, err := c.exchange(ctx, kindLargest, binary.BigEndian.AppendUint64(nil, size), kindDone)
	return err
}

// SetKeepers says which programs may change the guard while it is sealed, besides the
// digestd-guard that runs: those that active lists have at [guard.Keepers]. At most 32 count.
func (c *Client) SetKeepers(ctx context.Context, digests []guard.Digest) error {
	_, err := c.exchange(ctx, kindKeepers, appendDigests(nil, digests[:min(len(digests), maxKeepers)]), kindDone)
	return err
}

// Change changes the mode until the next one does, or the machine starts again.
func (c *Client) Change(ctx context.Context, to Change) error {
	data, err := json.Marshal(to)
	if err == nil {
		_, err = c.exchange(ctx, kindSettings, data, kindDone)
	}
	return err
}

// Exempt puts an exemption in force until the machine starts again, or ends one that was made so.
func (c *Client) Exempt(ctx context.Context, e Exemption) error {
	data, err := json.Marshal(e)
	if err == nil {
		_, err = c.exchange(ctx, kindExempt, data, kindDone)
	}
	return err
}

// Listed says of each digest whether contents with it may run.
func (c *Client) Listed(ctx context.Context, digests []guard.Digest) ([]bool, error) {
	var listed []bool
	for part := range slices.Chunk(digests, perFrame) {
		answer, err := c.exchange(ctx, kindListed, appendDigests(nil, part), kindListedAre)
		if err != nil {
			return nil, err
		}
		if len(answer) != len(part) {
			return nil, fmt.Errorf("%w: an answer to %d digests, asked for %d", ErrProtocol, len(answer), len(part))
		}
		for _, b := range answer {
			listed = append(listed, b != 0)
		}
	}
	return listed, nil
}

// Status asks what the guard does and knows.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.ask(ctx, kindStatus, kindStatusIs, &s)
}

// Denials asks what the kernel refused, or would have.
func (c *Client) Denials(ctx context.Context) (d Denials, err error) {
	return d, c.ask(ctx, kindDenials, kindDenialsAre, &d)
}

// Snapshot asks for the digests that the guard lets run and the commit with which they
// agree. It fails while they are being changed.
func (c *Client) Snapshot(ctx context.Context) (*snapshot.Snapshot, error) {
	if err := c.send(ctx, kindSnapshot, nil); err != nil {
		return nil, err
	}
	var records []byte
	for {
		got, payload, err := c.answer(ctx)
		switch {
		case err != nil:
			return nil, err
		case got == kindPartIs && len(records)+len(payload) <= snapshot.MaxSize:
			records = append(records, payload...)
		case got == kindEndIs && len(payload) == 8:
			return snapshot.New(binary.BigEndian.Uint64(payload), records)
		default:
			return nil, fmt.Errorf("%w: answer %#x of %d bytes, after %d bytes of a snapshot", ErrProtocol, byte(got), len(payload), len(records))
		}
	}
}

// Room asks how many digests the guard has and how many it can have.
func (c *Client) Room(ctx context.Context) (r Room, err error) {
	return r, c.ask(ctx, kindRoom, kindRoomIs, &r)
}

func (c *Client) ask(ctx context.Context, question, answer kind, to any) error {
	data, err := c.exchange(ctx, question, nil, answer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, k kind, payload []byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := c.c.write(k, payload); err != nil {
		return fmt.Errorf("cannot tell digestd-guard: %w", err)
	}
	return nil
}

// exchange sends a frame and returns the payload of its answer.
func (c *Client) exchange(ctx context.Context, k kind, payload []byte, want kind) ([]byte, error) {
	if err := c.send(ctx, k, payload); err != nil {
		return nil, err
	}
	got, answer, err := c.answer(ctx)
	if err == nil && got != want {
		err = fmt.Errorf("%w: answer %#x to %#x", ErrProtocol, byte(got), byte(k))
	}
	return answer, err
}

// answer returns the next frame. One that says why something was not done is an error.
func (c *Client) answer(ctx context.Context) (kind, []byte, error) {
	got, answer, err := c.c.read(ctx, time.Now().Add(exchangeTimeout))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("cannot get an answer of digestd-guard: %w", err)
	case got == kindError:
		return 0, nil, fmt.Errorf("%w: %s", ErrRefused, answer)
	}
	return got, answer, nil
}
