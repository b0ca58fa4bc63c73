// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// plan is what an event asks for, as data. The executor carries it out in the order of
// the fields, whatever order the event asked in: what must go leaves before what comes
// appears, nothing is seen before the intent is durable, and nothing is told of before
// the records are.
type plan struct {
	preparation
	withdraw []withdrawal
	publish  []publication
	aside    []removal
	unknown  bool            // what lies in the directory and is not expected there goes as well
	discard  []record.Staged // lists in staging that nobody wants any more
	poke     bool
	sync     []string // lists, besides the directory; nil and !synced: no sync
	synced   bool
	record   bool // the records are to be durable now, not with a later plan
	show     bool // readers are to see the state as it is
}

// preparation is what must be done before anything of a plan can be seen.
type preparation struct {
	body     *bodyMove // the body of an own list, kept before the intent is
	prefetch *bool     // the attribute of the directory
	intent   *records  // durable before the directory changes; nil: nothing to wait for
}

// bodyMove keeps an uploaded body as that of an own list.
type bodyMove struct{ from, to string }

// withdrawal is a list that leaves the directory. What the state says of it has
// changed already, as if it were gone.
type withdrawal struct {
	name  string
	entry *view.Entry // whose files have their labels written anew; nil: none
	// kept hears of the list where it waits to come back; nil if it need not.
	kept func(old record.Staged)
	// resists hears that it could not be removed, in the place of [state.leave]. Its
	// error is the answer.
	resists func(err error) error
}

// publication is a staged list that takes its name.
type publication struct {
	name     string
	staged   record.Staged
	recorded bool        // the intent has its record: a start needs no mark to know it
	poke     bool        // a scan of the directory that runs now starts over
	keep     bool        // what had the name waits to come back
	previous *view.Entry // the list whose place it takes, and whose labels are written anew; nil: none
	read     bool        // these labels are those of files that only the previous one has
	// then enters it into the state, or what to do without it. Its error is the answer.
	then func(p published) error
}

// published is what became of a publication.
type published struct {
	stamp record.Stamp
	old   record.Staged // what had the name, if it was to be kept
	err   error         // it has not appeared
}

// removal is a file that does not belong into the directory.
type removal struct {
	name, stamp string // stamp: see [store.Dir.Quarantine]
	size        int64
	drop        bool // there is no room to keep it
	then        func(aside string, err error)
}

// visible reports whether p does something that others can see.
func (p *plan) visible() bool { return len(p.withdraw)+len(p.publish)+len(p.aside) > 0 || p.unknown }

// records are changes of the index that become durable together.
type records struct {
	batch  record.Batch
	events []record.Event // the unit of whose process is still to be named
	drop   []uint64       // numbers of entries for which the log has no room
	mark   *bool          // see openMark; nil: as it was
	tell   []func(observer)
	taken  bool // up to where the log was taken is in batch
}

func (r *records) empty() bool { return r.batch.Empty() && len(r.events) == 0 }

// join makes r what r and then later change. Copies of r made before stay what they were.
func (r *records) join(later records) {
	r.batch.Append(later.batch)
	r.events = append(slices.Clip(r.events), later.events...)
	r.drop = append(slices.Clip(r.drop), later.drop...)
	r.tell = append(slices.Clip(r.tell), later.tell...)
	if later.mark != nil {
		r.mark = later.mark
	}
}

// intend makes what was queued so far durable before the directory changes. What is
// queued after it becomes durable when that has happened.
func (s *state) intend() {
	if s.plan.intent == nil {
		s.plan.intent = &records{}
	}
	s.plan.intent.join(s.queue)
	s.queue = records{}
}

// record has what is queued made durable by this plan.
func (s *state) record() { s.plan.record = true }

// show lets readers see the state when the plan is carried out.
func (s *state) show() { s.plan.show = true }

// sync has lists, and what came and went, made durable before the records.
func (s *state) sync(names ...string) {
	s.plan.synced = true
	s.plan.sync = append(s.plan.sync, names...)
}

// seal returns what the event asked for.
func (s *state) seal() *plan {
	p := s.plan
	s.plan = &plan{}
	for _, x := range p.publish {
		if !x.recorded {
			s.markIn(p)
			break
		}
	}
	return p
}
