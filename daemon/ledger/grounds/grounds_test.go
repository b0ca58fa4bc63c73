// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// noon is when the events of these tests happen.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func parsed(text string) nevra.NEVRA {
	pkg, err := nevra.Parse(text)
	if err != nil {
		panic(err)
	}
	return pkg
}

// listOf is the entry of an active list of a noarch package: listOf("bash", "1-1").
func listOf(name, evr string, change ...func(*view.Entry)) *view.Entry {
	text := name + "-0:" + evr + ".noarch"
	e := &view.Entry{List: record.List{Name: "tlv-" + text, State: record.Active, Package: parsed(text), Counter: 1, Rules: "rules",
		Header: sha256.Sum256([]byte("header of " + text)), Body: sha256.Sum256([]byte("body of " + text))}}
	for _, f := range change {
		f(e)
	}
	return e
}

func withheld(e *view.Entry) { e.State = record.Withheld }

func signedBy(key string) func(*view.Entry) {
	return func(e *view.Entry) {
		e.Key = key
		e.Signature = &record.Signature{Key: key, Made: noon.Add(-time.Hour)}
	}
}

// withContents are the references of a list of these contents.
func withContents(contents ...string) func(*view.Entry) {
	return func(e *view.Entry) {
		e.Refs = &view.Refs{}
		for _, c := range contents {
			sum := sha256.Sum256([]byte(c))
			e.Refs.Digests = append(e.Refs.Digests, view.DigestRef(sum[:]))
		}
		slices.Sort(e.Refs.Digests)
	}
}

// contentID is a content as denials write it.
func contentID(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// with returns grounds of these lists.
func with(s state.Settings, entries ...*view.Entry) *Grounds {
	if s.Rules == "" {
		s.Rules = "rules"
	}
	g := &Grounds{State: state.NewState(s, noon)}
	for _, e := range entries {
		g.Put(e)
		g.Counter = max(g.Counter, e.Counter)
	}
	g.Begin()
	return g
}

// event has fn happen twice: once it is taken back, of which nothing may be left in
// memory, then it stands. It returns what the event asked for, in the order in which that is
// carried out: records that come first, what happens to the directory, then the records
// that are queued.
func event(t *testing.T, s *Grounds, fn func()) []string {
	t.Helper()
	s.Begin()
	s.Stand()
	s.Queue = state.Records{}
	before := memory(s)
	s.Begin()
	fn()
	s.Rollback()
	if diff := cmp.Diff(before, memory(s)); diff != "" {
		t.Errorf("an event that was taken back left something: %s", diff)
	}
	if !s.Queue.Empty() || s.Plan.Visible() || s.Plan.Intent != nil {
		t.Errorf("an event that was taken back still asks for %v", asked(s, s.Plan))
	}
	s.Begin()
	fn()
	s.Plan = s.Seal() // as told needs it
	return asked(s, s.Plan)
}

// asked writes down what a plan, and what is queued, asks for.
func asked(s *Grounds, p *state.Plan) (lines []string) {
	if p.Intent != nil {
		for _, line := range recorded(*p.Intent) {
			lines = append(lines, "first "+line)
		}
	}
	for _, w := range p.Withdraw {
		lines = append(lines, "withdraw "+w.Name)
	}
	for _, x := range p.Publish {
		lines = append(lines, "publish "+x.Name+" from "+x.Staged.Name())
	}
	if p.Unknown {
		lines = append(lines, "withdraw what is not known")
	}
	return append(lines, recorded(s.Queue)...)
}

// recorded writes down records, by bucket and key, then the entries of the log.
func recorded(r state.Records) (lines []string) {
	records, _, err := r.Batch.Records()
	if err != nil {
		return []string{err.Error()}
	}
	for _, x := range records {
		bucket, key := record.Buckets[x.Bucket], strings.ReplaceAll(string(x.Key), "\x00", ".")
		if bucket == record.BucketRetired {
			key = hex.EncodeToString(x.Key[:4])
		}
		line := bucket + " " + key
		var l record.List
		switch {
		case x.Value == nil:
			line += " goes"
		case bucket == record.BucketLists && json.Unmarshal(x.Value, &l) == nil:
			line = strings.TrimRight(fmt.Sprintf("%s %s %s %s", line, l.State, l.Reason, l.Change), " ")
		}
		lines = append(lines, line)
	}
	for _, e := range r.Events {
		line := e.Kind
		for _, part := range []string{e.Package, e.Key, e.Reason} {
			if part != "" {
				line += " " + part
			}
		}
		lines = append(lines, "log "+line)
	}
	return lines
}

// memory is what an event may change and what must be as before when it is taken back.
func memory(s *Grounds) string {
	var refs []*view.Refs
	entries := s.Sorted()
	for _, e := range entries {
		refs = append(refs, e.Refs)
	}
	var retired []string
	for body, r := range s.Retired {
		retired = append(retired, body.String()+r.Reason)
	}
	slices.Sort(retired)
	var lines []string
	for id, l := range s.Lines {
		lines = append(lines, fmt.Sprintf("%s: %+v", id, l))
	}
	slices.Sort(lines)
	var keys []string
	for fingerprint, k := range s.Keys {
		data, _ := json.Marshal(k)
		keys = append(keys, fingerprint+string(data))
	}
	slices.Sort(keys)
	data, err := json.MarshalIndent([]any{entries, refs, retired, lines, keys, s.Denied, s.Own, s.Importers, s.Banned, s.Blacklist,
		s.Unsettled, s.Anew, s.NextSeq, s.MetaMark, len(s.Keyring.Certs()), s.KeysRead}, "", " ")
	if err != nil {
		panic(err)
	}
	return string(data)
}

// wants compares what was asked for with what should be.
func wants(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		t.Errorf("asked for (-want, +got): %s", diff)
	}
}

// heard is an observer that remembers what it was told.
type heard []string

func (h *heard) add(parts ...any)                     { *h = append(*h, strings.TrimSpace(fmt.Sprintln(parts...))) }
func (h *heard) ListPublished(list, _ string)         { h.add("published", list) }
func (h *heard) ListWithdrawn(list, _, reason string) { h.add("withdrawn", list, reason) }
func (h *heard) RollbackRefused(pkg, reason string)   { h.add("refused", pkg, reason) }
func (h *heard) TamperDetected(name, reason string)   { h.add("tampered", name, reason) }
func (h *heard) TransactionFinished(uint32, uint32)   { h.add("finished") }
func (h *heard) KeyRevoked(key, reason string, lists uint32) {
	h.add("revoked", key, "by", reason, "lists", lists)
}
func (h *heard) Changed()                       {}
func (h *heard) Denied(id, what, reason string) { h.add("denied", id, what, reason) }
func (h *heard) DenialLifted(_, what, w string) { h.add("lifted", what, w) }

// told is what the observer hears once all that was asked for is durable.
func told(s *Grounds) []string {
	h := &heard{}
	s.Observer = h
	if s.Plan.Intent != nil {
		s.Committed(s.Plan.Intent)
	}
	s.Committed(&s.Queue)
	s.TellAll()
	return *h
}

// problem returns the problem of that ID, nil if there is none.
func problem(s *Grounds, id string) *api.Problem {
	if i := slices.IndexFunc(s.Problems, func(p api.Problem) bool { return p.ID == id }); i >= 0 {
		return &s.Problems[i]
	}
	return nil
}

// says checks the text of a problem; "" for none.
func says(t *testing.T, s *Grounds, id, severity, text string) {
	t.Helper()
	switch p := problem(s, id); {
	case p == nil && text != "":
		t.Errorf("there is no problem %s", id)
	case p != nil && (text == "" || p.Severity != severity || !strings.Contains(p.Text, text) || p.Advice == ""):
		t.Errorf("problem %s is %+v, want %s, %q", id, *p, severity, text)
	}
}
