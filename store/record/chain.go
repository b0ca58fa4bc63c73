// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Chain is the state of the log's hash chains. The log has two rooms, each of which drops its
// own oldest entries, so each has a chain: the hash of an entry covers its number, its content,
// and the hash of the entry before it in its room.
type Chain struct {
	From      uint64 `json:"from"` // the number of the first entry that has a hash
	Decisions Link   `json:"decisions,omitzero"`
	Tampering Link   `json:"tampering,omitzero"`
}

// Link is the state of one chain: its last entry, and the last one that the log dropped, which
// distinguishes a pruned log from a truncated one.
type Link struct {
	Seq         uint64 `json:"seq,omitempty"` // of the last entry, 0 for none
	Hash        Digest `json:"hash,omitzero"`
	Dropped     uint64 `json:"dropped,omitempty"` // of the last entry that was dropped, 0 for none
	DroppedHash Digest `json:"droppedHash,omitzero"`
}

// MetaChain is the key of the [Chain] among the small named values.
const MetaChain = "log-chain"

// KindTampered is the kind of the entries that have a room of their own.
const KindTampered = "tampered"

// ReadChain parses the chains of an index whose next entry has the number next. An index without
// chains begins them there.
func ReadChain(meta []byte, next uint64) (c Chain, err error) {
	if meta == nil {
		return Chain{From: next}, nil
	}
	if err := json.Unmarshal(meta, &c); err != nil {
		return c, fmt.Errorf("cannot read the hash chain of the log: %w", err)
	}
	return c, nil
}

// room returns the chain for entries of a kind.
func (c *Chain) room(kind string) *Link {
	if kind == KindTampered {
		return &c.Tampering
	}
	return &c.Decisions
}

// Put appends e to the log and to its chain, and returns its hash.
func (c *Chain) Put(b *Batch, e Event) Digest {
	e.Chain = Digest{}
	data, err := json.Marshal(e)
	if err != nil {
		b.err = fmt.Errorf("cannot encode entry %d of the log: %w", e.Seq, err)
		return Digest{}
	}
	l := c.room(e.Kind)
	l.Seq, l.Hash = e.Seq, link(l.Hash, e.Seq, data)
	b.Set(BucketLog, binary.BigEndian.AppendUint64(nil, e.Seq), chained(data, l.Hash))
	return l.Hash
}

// Drop removes an entry from the log and notes that in its chain. An entry without a hash is
// from before the chains.
func (c *Chain) Drop(b *Batch, e Event) {
	b.DropEvent(e.Seq)
	if l := c.room(e.Kind); !e.Chain.IsZero() && e.Seq > l.Dropped {
		l.Dropped, l.DroppedHash = e.Seq, e.Chain
	}
}

// Record records the state of the chains.
func (c *Chain) Record(b *Batch) { b.put(BucketMeta, []byte(MetaChain), c) }

// link returns the hash of an entry, given the hash of the one before it.
func link(before Digest, seq uint64, data []byte) Digest {
	h := sha256.New()
	h.Write([]byte("digestd log 1\n"))
	h.Write(before[:])
	h.Write(binary.BigEndian.AppendUint64(nil, seq))
	h.Write(data)
	return Digest(h.Sum(nil))
}

const chainKey = `,"chain":"`

// chained returns an entry in its stored form, with its hash as the last field.
func chained(data []byte, hash Digest) []byte {
	data = append(data[:len(data)-1:len(data)-1], chainKey...)
	return append(append(data, hash.String()...), `"}`...)
}

// unchained returns an entry without its hash; ok is false if it has none.
func unchained(value []byte) (data []byte, hash Digest, ok bool) {
	tail := len(chainKey) + 2*len(hash) + len(`"}`)
	if len(value) < tail || !bytes.HasPrefix(value[len(value)-tail:], []byte(chainKey)) || !bytes.HasSuffix(value, []byte(`"}`)) {
		return nil, hash, false
	}
	text := value[len(value)-tail+len(chainKey) : len(value)-2]
	if hash.UnmarshalText(text) != nil {
		return nil, hash, false
	}
	return append(value[:len(value)-tail:len(value)-tail], '}'), hash, true
}

// Checked is the result of a check of the chains.
type Checked struct {
	Entries   int      // that the log has
	Unchained int      // of these, from before the chains
	Faults    []string // entries that were cut, changed or moved: the first MaxFaults
	More      int      // number of further faults

	decisions, tampering walk
}

// MaxFaults is how many faults a check names.
const MaxFaults = 100

// walk is the progress of a check in one room.
type walk struct {
	before  Digest
	last    uint64
	unknown bool // the hash of the entry before is not known
}

// Check begins a check of the log. Pass all entries to Entry, in the order of their numbers.
func (c Chain) Check() *Checked {
	begin := func(l Link) walk {
		return walk{before: l.DroppedHash, last: l.Dropped, unknown: l.Dropped > 0 && l.DroppedHash.IsZero()}
	}
	return &Checked{decisions: begin(c.Decisions), tampering: begin(c.Tampering)}
}

func (x *Checked) fault(format string, args ...any) {
	if len(x.Faults) == MaxFaults {
		x.More++
		return
	}
	x.Faults = append(x.Faults, fmt.Sprintf(format, args...))
}

// Entry checks one entry, as it is stored.
func (x *Checked) Entry(c Chain, seq uint64, value []byte) (hash Digest) {
	x.Entries++
	data, hash, ok := unchained(value)
	var e Event
	switch err := json.Unmarshal(value, &e); {
	case err != nil:
		x.fault("entry %d cannot be read: %v", seq, err)
		return Digest{}
	case !ok && seq < c.From:
		x.Unchained++
		return Digest{}
	case !ok:
		x.fault("entry %d has no hash: an older digestd, or something else, wrote it", seq)
		return Digest{}
	}
	w, l := &x.decisions, c.Decisions
	if e.Kind == KindTampered {
		w, l = &x.tampering, c.Tampering
	}
	switch {
	case seq <= w.last:
		x.fault("entry %d comes after entry %d, which was dropped", seq, w.last)
	case seq > l.Seq:
		x.fault("entry %d comes after entry %d, which was the last", seq, l.Seq)
	case !w.unknown && link(w.before, seq, data) != hash:
		x.fault("entry %d was changed, or entries before it were cut, added or moved", seq)
	}
	w.before, w.last, w.unknown = hash, seq, false
	return hash
}

// End ends the check after the last entry.
func (x *Checked) End(c Chain) {
	for _, r := range []struct {
		what string
		walk
		Link
	}{{"decisions", x.decisions, c.Decisions}, {"tampering", x.tampering, c.Tampering}} {
		if r.last != r.Seq || r.Seq > 0 && !r.unknown && r.before != r.Hash {
			x.fault("the last entries about %s were cut: entry %d was the last, and the log ends with entry %d", r.what, r.Seq, r.last)
		}
	}
}
