// SPDX-License-Identifier: Apache-2.0

package state

import (
	"slices"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Plan is what an event asks for, as data. The executor carries it out in the order of
// the fields, whatever order the event asked in: what must go leaves before what comes
// appears, nothing is seen before the intent is durable, and nothing is told of before
// the records are.
type Plan struct {
	preparation
	Withdraw []Withdrawal
	Publish  []Publication
	Aside    []removal
	Unknown  bool            // what lies in the directory and is not expected there goes as well
	Discard  []record.Staged // lists in staging that nobody wants any more
	Poke     bool
	Sync     []string // lists, besides the directory; nil and !synced: no sync
	Synced   bool
	Record   bool   // the records are to be durable now, not with a later plan
	Show     bool   // the state is shown to readers as it is
	Drop     string // the body of an own list that goes once the records are durable; "" for none
}

// preparation is what must be done before anything of a plan can be seen.
type preparation struct {
	Body     *BodyMove // the body of an own list, kept before the intent is
	Prefetch *bool     // the attribute of the directory
	Intent   *Records  // durable before the directory changes; nil: nothing to wait for
	Urgent   bool      // trust ends: on a full disk, the intent gets the space kept in reserve
}

// BodyMove keeps an uploaded body as that of an own list.
type BodyMove struct{ From, To string }

// Withdrawal is a list that leaves the directory. The state describes it as withdrawn already.
type Withdrawal struct {
	Name  string
	Entry *view.Entry // whose files have their labels written anew; nil: none
	// Kept hears of the list where it waits to come back; nil if it need not.
	Kept func(old record.Staged)
	// Resists hears that it could not be removed, in the place of [state.leave]. Its
	// error is the answer.
	Resists func(err error) error
}

// Publication is a staged list that takes its name.
type Publication struct {
	Name     string
	Staged   record.Staged
	Largest  uint64      // size in bytes of the largest file that it is of; 0: not known
	Recorded bool        // the intent has its record: a start needs no mark to know it
	Poke     bool        // a scan of the directory that runs now starts over
	Keep     bool        // what had the name waits to come back
	Previous *view.Entry // the list whose place it takes, and whose labels are written anew; nil: none
	Read     bool        // these labels are those of files that only the previous one has
	Then     Then
}

// Then hears what became of a publication, and enters it into the state, or what to do
// without it. Its error is the answer.
type Then interface{ Appeared(p Published) error }

// Do is a function as [Then].
type Do func(p Published) error

// Appeared calls the function.
func (do Do) Appeared(p Published) error { return do(p) }

// Published is what became of a publication.
type Published struct {
	Stamp record.Stamp
	Old   record.Staged // what had the name, if it was to be kept
	Err   error         // it has not appeared
}

// removal is a file that does not belong into the directory.
type removal struct {
	Name, Stamp string // stamp: see [listdir.Dir.Quarantine]
	size        int64
	Drop        bool // there is no room to keep it
	Then        func(aside string, err error)
}

// Visible reports whether p does something that others can see.
func (p *Plan) Visible() bool { return len(p.Withdraw)+len(p.Publish)+len(p.Aside) > 0 || p.Unknown }

// Records are changes of the index that become durable together.
type Records struct {
	Batch  record.Batch
	Events []record.Event // the unit of whose process is still to be named
	Drop   []uint64       // numbers of entries for which the log has no room
	mark   *bool          // see openMark; nil: as it was
	tell   []func(Observer)
	taken  bool // up to where the log was taken is in batch
}

func (r *Records) Empty() bool { return r.Batch.Empty() && len(r.Events) == 0 }

// Join makes r what r and then later change. Copies of r made before stay what they were.
func (r *Records) Join(later Records) {
	r.Batch.Append(later.Batch)
	r.Events = append(slices.Clip(r.Events), later.Events...)
	r.Drop = append(slices.Clip(r.Drop), later.Drop...)
	r.tell = append(slices.Clip(r.tell), later.tell...)
	if later.mark != nil {
		r.mark = later.mark
	}
}

// Intend makes what was queued so far durable before the directory changes. Later records
// become durable after that change.
func (s *State) Intend() {
	if s.Plan.Intent == nil {
		s.Plan.Intent = &Records{}
	}
	s.Plan.Intent.Join(s.Queue)
	s.Queue = Records{}
}

// IntendUrgently is Intend for lists that must go because nothing vouches for them any
// more: on a full disk too.
func (s *State) IntendUrgently() {
	s.Intend()
	s.Plan.Urgent = true
}

// Record has what is queued made durable by this plan.
func (s *State) Record() { s.Plan.Record = true }

// Sync has lists, and what came and went, made durable before the records.
func (s *State) Sync(names ...string) {
	s.Plan.Synced = true
	s.Plan.Sync = append(s.Plan.Sync, names...)
}

// Seal returns what the event asked for. Once that is done, [State.Reuse] may have its
// memory.
func (s *State) Seal() *Plan {
	p := s.Plan
	if s.Plan, s.spare = s.spare, nil; s.Plan == nil {
		s.Plan = &Plan{}
	}
	for _, x := range p.Publish {
		if !x.Recorded {
			s.markIn(p)
			break
		}
	}
	return p
}

// Reuse takes a plan that was carried out, for the next event: most ask for one list.
func (s *State) Reuse(p *Plan) {
	p.clear()
	s.spare = p
}

// clear empties a plan, and keeps the room for a publication.
func (p *Plan) clear() {
	room := p.Publish
	if clear(room); cap(room) > 1 {
		room = nil
	}
	*p = Plan{Publish: room[:0]}
}
