// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// memoryOwn is what a Daemon keeps of own lists.
type memoryOwn struct {
	uploads  map[uint64][]byte
	lists    []api.Own
	prefetch bool
	ordered  []api.Ordered
}

func (m *Daemon) Owns(context.Context) ([]api.Own, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own.lists, nil
}

func (m *Daemon) Own(_ context.Context, name string) (api.Own, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.own.lists {
		if o.Name == name {
			return o, nil
		}
	}
	return api.Own{}, &api.Error{Code: api.NotFound, Message: `there is no own list "` + name + `"`, Advice: "see digestctl own list"}
}

func (m *Daemon) OwnAppend(_ context.Context, _ api.Actor, id uint64, data []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own.uploads == nil {
		m.own.uploads = map[uint64][]byte{}
	}
	if id == 0 {
		id = uint64(len(m.own.uploads) + 1)
	}
	m.own.uploads[id] = append(m.own.uploads[id], data...)
	return id, nil
}

func (m *Daemon) OwnPublish(_ context.Context, by api.Actor, req api.OwnRequest, report func(string, int, int)) (api.OwnResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	report("publishing", 0, 0)
	body := m.own.uploads[req.Upload]
	if req.Import {
		var err error
		if body, _, _, err = digestlist.SplitSignature(body); err != nil {
			return api.OwnResult{}, &api.Error{Code: api.InvalidArgument, Message: "cannot import the list: it is not signed"}
		}
	}
	groups, err := digestlist.ParseTLV(body)
	if err != nil {
		return api.OwnResult{}, err
	}
	sum := sha256.Sum256(body)
	o := api.Own{Name: req.Name, List: "tlv-own-" + req.Name, State: api.StateActive, Version: 1, Highest: 1, Files: len(groups[0].Entries),
		Digest: record.Digest(sum).String(), Sources: req.Sources, Listed: req.Listed, Created: Noon, Changed: Noon, By: api.Actor{UID: by.UID}, Reason: req.Reason}
	if req.Import {
		o.Key = "0011aabb"
	}
	r := api.OwnResult{Name: o.Name, List: o.List, Version: 1, Files: o.Files, Labelled: o.Files, Duration: 12 * time.Millisecond}
	for i, old := range m.own.lists {
		if old.Name == o.Name {
			if old.Digest == o.Digest {
				return api.OwnResult{Name: o.Name, List: o.List, Version: old.Version, Files: o.Files, Unchanged: true}, nil
			}
			o.Version, o.Highest = old.Highest+1, old.Highest+1
			r.Version, r.Replaced = o.Version, old.Version
			m.own.lists[i] = o
			return r, nil
		}
	}
	m.own.lists = append(m.own.lists, o)
	return r, nil
}

func (m *Daemon) OwnRemove(ctx context.Context, _ api.Actor, name, _ string, _ func(string, int, int)) (api.OwnResult, error) {
	o, err := m.Own(ctx, name)
	if err != nil {
		return api.OwnResult{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.own.lists {
		if m.own.lists[i].Name == name {
			m.own.lists[i].State, m.own.lists[i].Files = api.StateRemoved, 0
		}
	}
	return api.OwnResult{Name: name, List: o.List, Version: o.Version, Files: o.Files, Labelled: o.Files}, nil
}

func (m *Daemon) Order(_ context.Context, offset, limit uint32) ([]api.Ordered, uint32, api.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := m.own.ordered[min(int(offset), len(m.own.ordered)):]
	return page[:min(int(limit), len(page))], uint32(len(m.own.ordered)), api.Order{Prefetch: m.own.prefetch, Numbered: len(m.own.ordered)}, nil
}

func (m *Daemon) OrderSet(_ context.Context, _ api.Actor, uses [][]byte, _ string) (api.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own.ordered = nil
	for i, use := range uses {
		if string(use) == "/etc/digest_lists/tlv-bash-0:5.2-1.x86_64" {
			m.own.ordered = append(m.own.ordered, api.Ordered{Sequence: uint32(i), List: "tlv-bash-0:5.2-1.x86_64", Active: true, NEVRA: "bash-5.2-1.x86_64"})
		}
	}
	return api.Order{Prefetch: m.own.prefetch, Numbered: len(m.own.ordered), Matched: len(m.own.ordered)}, nil
}

func (m *Daemon) OrderClear(context.Context, api.Actor, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own.ordered = nil
	return nil
}

func (m *Daemon) OrderPrefetch(_ context.Context, _ api.Actor, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own.prefetch = on
	return nil
}
