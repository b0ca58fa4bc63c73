// SPDX-License-Identifier: Apache-2.0

// Package manage answers what people ask about the guard through digestd, and does what they
// decide: which mode it is in, what it refused and why, what it would do with a file, and
// which refused contents their owner vouches for.
//
// It promises that every question to digestd-guard ends within seconds, that few are open at a
// time, and that what somebody changed is recorded with the user. The caller's permission is
// checked before: by the bus. digestd sends the contents of lists to the guard on a connection
// of its own.
package manage

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// The time limit of one question to digestd-guard, the time for which its answer serves those
// who watch, and the number of questions at a time: it serves 16 connections, and others need
// some.
const (
	patience = 2 * time.Second
	fresh    = time.Second
	mostAsk  = 4
)

// Lists is digestd, as it is asked about contents and gets an own list.
type Lists interface {
	WhyContent(ctx context.Context, path string, c api.Content) (api.Why, error)
	Own(ctx context.Context, name string) (api.Own, error)
	Files(ctx context.Context, list string, offset, limit uint32) (page []api.File, total uint32, err error)
	OwnAppend(ctx context.Context, by api.Actor, upload uint64, data []byte) (uint64, error)
	OwnPublish(ctx context.Context, by api.Actor, req api.OwnRequest, report func(stage string, done, total int)) (api.OwnResult, error)
}

// Setup is what a Manager works with.
type Setup struct {
	Wanted string // the mode in digestd's configuration; with off nobody is asked
	Socket string // of digestd-guard
	Lists  Lists
	Files  Finder
	Record func(ctx context.Context, e record.Event)
	// Look reads a file in a process of its own.
	Look func(ctx context.Context, path string, algos ...digestlist.Algo) (look.File, error)
}

// Manager is the guard, for people. Its methods may be called by many goroutines.
type Manager struct {
	Setup Setup         // fixed once it is used
	room  chan struct{} // for questions
	mu    sync.Mutex    // guards the rest
	last  api.Guard
	when  time.Time
}

// New makes one that has asked nothing yet.
func New(s Setup) *Manager { return &Manager{Setup: s, room: make(chan struct{}, mostAsk)} }

// errOff answers those who ask of a guard that is not configured.
var errOff = &api.Error{Code: api.NotFound, Message: "the guard is off", Advice: `set guard = "audit" in digestd.conf, then restart digestd-guard and digestd`}

// ask asks digestd-guard on a connection that is closed afterwards.
func (m *Manager) ask(ctx context.Context, fn func(context.Context, *protocol.Client) error) error {
	if m.off() {
		return errOff
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case m.room <- struct{}{}:
		defer func() { <-m.room }()
	case <-ctx.Done():
		return &api.Error{Code: api.Busy, Message: "too many requests to digestd-guard are in progress", Advice: "try again"}
	}
	c, err := protocol.Dial(ctx, m.Setup.Socket)
	if err == nil {
		defer c.Close()
		err = fn(ctx, c)
	}
	var ours *api.Error
	if err == nil || errors.As(err, &ours) || errors.Is(err, protocol.ErrRefused) {
		return err
	}
	return &api.Error{Code: api.Failed, Message: "digestd-guard does not answer: " + err.Error(), Advice: "see systemctl status digestd-guard"}
}

func (m *Manager) off() bool { return m.Setup.Wanted == "" || m.Setup.Wanted == api.GuardOff }

// Guard says what the guard does and knows.
func (m *Manager) Guard(ctx context.Context) (g api.Guard, err error) {
	if m.off() {
		return api.Guard{Mode: api.GuardOff, Wanted: api.GuardOff}, nil
	}
	var s protocol.Status
	var d protocol.Denials
	err = m.ask(ctx, func(ctx context.Context, c *protocol.Client) (err error) {
		if s, err = c.Status(ctx); err == nil {
			d, err = c.Denials(ctx)
		}
		return err
	})
	if err != nil {
		return api.Guard{Mode: api.GuardUnknown, Wanted: m.Setup.Wanted, Why: err.Error()}, err
	}
	return protocol.Describe(s, d), nil
}

// Recent is Guard for those who watch: an answer may be a second old, and one that could not
// be had says so by itself. It holds nobody up twice for a guard that hangs.
func (m *Manager) Recent() api.Guard {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := time.Since(m.when); age < 0 || age >= fresh {
		m.last, _ = m.Guard(context.Background())
		m.when = time.Now()
	}
	return m.last
}

// Judge completes what is known of a file by what the guard would do with it now.
func (m *Manager) Judge(ctx context.Context, w *api.Why) {
	digest, ok := digestOf(w.Digest)
	if m.off() || !ok {
		return
	}
	v := api.GuardVerdict{Mode: api.GuardUnknown}
	err := m.ask(ctx, func(ctx context.Context, c *protocol.Client) error {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		listed, err := c.Listed(ctx, []guard.Digest{digest})
		if err == nil {
			v.Mode, v.Listed = s.Mode, listed[0]
		}
		return err
	})
	v.Runs = v.Listed || v.Mode == api.GuardOff || v.Mode == api.GuardAudit
	switch {
	case err != nil:
		v.Text = err.Error()
	case v.Listed:
		v.Text = "allows it"
	case v.Mode == api.GuardEnforce:
		v.Text = "refuses it"
	case v.Mode == api.GuardOff:
		v.Text = "is off and allows it"
	default:
		v.Text = "allows it in mode " + v.Mode + ", and would refuse it in mode enforce"
	}
	w.Guard = v
}

// GuardDenials returns a page of what was refused, the latest last, each with the reason that
// lists give now.
func (m *Manager) GuardDenials(ctx context.Context, offset, limit uint32) (page []api.GuardDenial, total uint32, err error) {
	denials, listed, err := m.denials(ctx)
	if err != nil {
		return nil, 0, err
	}
	total = uint32(len(denials))
	lo := min(offset, total)
	hi := lo + min(limit, total-lo)
	for _, d := range denials[lo:hi] {
		one, _, err := m.explain(ctx, d, listed[d.Digest])
		if err != nil {
			return nil, 0, err
		}
		page = append(page, one)
	}
	return page, total, nil
}

// denials returns what was refused, and which of their digests may run now.
func (m *Manager) denials(ctx context.Context) (all []protocol.Denial, runs map[string]bool, err error) {
	runs = map[string]bool{}
	err = m.ask(ctx, func(ctx context.Context, c *protocol.Client) error {
		d, err := c.Denials(ctx)
		if err != nil {
			return err
		}
		all = d.All
		var digests []guard.Digest
		var names []string
		for _, one := range all {
			if digest, ok := digestOf(one.Digest); ok {
				digests, names = append(digests, digest), append(names, one.Digest)
			}
		}
		listed, err := c.Listed(ctx, digests)
		for i, ok := range listed {
			runs[names[i]] = ok
		}
		return err
	})
	return all, runs, err
}

// explain says why a content was refused, as lists are now, and what these say.
func (m *Manager) explain(ctx context.Context, d protocol.Denial, listed bool) (one api.GuardDenial, why api.Why, err error) {
	one = d.Describe()
	if digest, ok := digestOf(d.Digest); ok && d.ByLists() {
		path := d.ExactPath()
		if !strings.HasPrefix(path, "/") {
			path = "/" // no list has it; the content alone counts
		}
		if why, err = m.Setup.Lists.WhyContent(ctx, path, api.Content{Found: true, SHA256: digest[:]}); err != nil {
			return one, why, err
		}
	}
	one.Why = d.Explain(why, listed)
	return one, why, nil
}
