// SPDX-License-Identifier: Apache-2.0

// Package query answers questions. It reads the view that was published last, and waits
// for no turn.
package query

import (
	"cmp"
	"context"
	"crypto/fips140"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/daemon/verification"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Query answers questions about a host. Long answers come in pages: at most limit elements
// from offset on, with the total number.
type Query struct {
	*host.Host
	verifier *verification.Verifier
	looks    *look.Pool // at files
}

// New returns a Query about h. It takes the results of verifications from v.
func New(h *host.Host, v *verification.Verifier) *Query {
	return &Query{Host: h, verifier: v, looks: look.NewPool(h.Config.Root)}
}

// page returns a page of all, and how many these are.
func page[T any](all []T, offset, limit uint32) ([]T, uint32) {
	total := uint32(len(all))
	lo := min(offset, total)
	return all[lo : lo+min(limit, total-lo)], total
}

// Close ends the processes that look at files.
func (q *Query) Close() { q.looks.Close() }

// LookAt looks at the file at a path inside the root, in a separate process.
func (q *Query) LookAt(ctx context.Context, path string, algos ...digestlist.Algo) (look.File, error) {
	return q.looks.At(ctx, path, algos...)
}

// Places returns the files and directories that a daemon with this configuration uses.
func Places(c config.Config) api.Places {
	return api.Places{Configuration: c.Path, Socket: c.Socket, State: c.State}
}

// Status returns the state of the daemon, except State, which package bus adds, and Kernel,
// which needs a question to the kernel.
func (q *Query) Status() api.Status {
	snap := q.Snapshot()
	m := q.Builder.Load()
	st := api.Status{
		Version: api.Version, Mode: snap.Mode.String(), Root: q.Config.Root, ListDirectory: q.Config.Lists,
		Format: m.Format, Sign: m.Sign, Unsigned: m.Unsigned.String(),
		DatabasePath: snap.DBPath, DatabaseKind: snap.DBKind, Since: snap.Since,
		Certificate: identity.Describe(m.Identity.Cert, m.Identity.Path),
		Policies:    countPolicies(&snap.Policed), Metadata: oldestMetadata(snap.Advice),
		Transaction: snap.Open > 0, LastSync: snap.LastSync, Problems: snap.Problems, Counter: snap.Counter, LastEvent: snap.LastEvent,
		Places: Places(q.Config), Deployment: describeDeployment(snap),
	}
	if fips140.Enabled() {
		st.FIPS = fips140.Version()
	}
	for _, e := range snap.Entries {
		switch {
		case e.Change == record.Moving:
			continue
		case e.Own != "":
			st.Lists.Own++
		case e.Grace == "":
			st.Packages++
		}
		switch e.State {
		case record.Withheld:
			st.Lists.Withheld++
			continue
		case record.Empty:
			continue
		}
		st.Lists.Active++
		st.Files += e.Files
		if e.Grace != "" {
			st.Lists.Grace++
		}
	}
	st.Lists.Quarantined, st.Lists.Retired = len(snap.Asides), snap.Retired
	for _, c := range snap.Keyring.Certs() {
		if k := snap.DescribeKey(snap.Keys[c.Fingerprint], q.Now()); k.State != api.KeyRevoked {
			st.Keys = append(st.Keys, k)
		}
	}
	q.verifier.AddVerified(&st)
	return st
}

func (q *Query) describe(snap *view.Snapshot, e *view.Entry) api.List {
	l := api.List{
		Name: e.Name, NEVRA: e.Package.String(), State: string(e.State), Reason: e.Reason, Text: e.Text,
		Key: e.Key, KeyOwner: snap.KeyOwner(e.Key), Signer: e.Signer, HeaderDigest: e.Header.String(),
		Own: e.Own, Files: e.Files, Counter: e.Counter, Since: e.Since, Granted: e.Granted, Grace: e.Grace != "",
		Denied: e.Denied, Left: e.Left,
	}
	if !e.Body.IsZero() {
		l.BodyDigest = e.Body.String()
	}
	if e.Active() {
		l.Path = filepath.Join(q.Config.Lists, e.Name)
	}
	return l
}

func (q *Query) describeAside(a record.Aside) api.List {
	l := api.List{Name: a.List, Path: filepath.Join(q.Dir.QuarantinePath(), a.Name), State: api.StateQuarantined,
		Reason: "tampered", Text: a.Reason, Since: a.When}
	if !a.Digest.IsZero() {
		l.BodyDigest = a.Digest.String()
	}
	return l
}

// Lists returns a page of the lists that filter selects, by name, those in quarantine
// last: "" selects all, a state those in it, anything else those whose name, or whose
// package's name, matches it as a pattern (see [path.Match]).
func (q *Query) Lists(_ context.Context, filter string, offset, limit uint32) ([]api.List, uint32, error) {
	snap := q.Snapshot()
	matches, err := selector(filter)
	if err != nil {
		return nil, 0, err
	}
	var page []api.List
	total := uint32(0)
	add := func(state, list, pkg string, describe func() api.List) {
		if !matches(state, list, pkg) {
			return
		}
		if total >= offset && uint32(len(page)) < limit {
			page = append(page, describe())
		}
		total++
	}
	for _, e := range snap.Entries {
		add(string(e.State), e.Name, e.Package.Name, func() api.List { return q.describe(snap, e) })
	}
	for _, a := range snap.Asides {
		add(api.StateQuarantined, a.List, "", func() api.List { return q.describeAside(a) })
	}
	return page, total, nil
}

// selector makes a predicate of a filter: "", a state, or a glob.
func selector(filter string) (func(state, list, pkg string) bool, error) {
	switch filter {
	case "":
		return func(string, string, string) bool { return true }, nil
	case api.StateActive, api.StateEmpty, api.StateWithheld, api.StateQuarantined, api.StateRetired:
		return func(state, _, _ string) bool { return state == filter }, nil
	}
	if _, err := path.Match(filter, ""); err != nil {
		return nil, api.Errorf(api.InvalidArgument, "%q is not a valid pattern: %v", filter, err)
	}
	return func(_, list, pkg string) bool {
		byList, _ := path.Match(filter, list)
		byPackage, _ := path.Match(filter, pkg)
		return byList || byPackage
	}, nil
}

// Show returns the lists of a package, at least one. pkg is a name, name.arch, NEVRA or the
// name of a list. The error is [api.NotFound] if there is none.
func (q *Query) Show(_ context.Context, pkg string) ([]api.List, error) {
	snap := q.Snapshot()
	var found []api.List
	for _, e := range snap.Entries {
		if view.Names(pkg, e.Package, e.Name) {
			found = append(found, q.describe(snap, e))
		}
	}
	if found == nil {
		return nil, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no package %q is installed", pkg), Advice: "see digestctl list"}
	}
	return found, nil
}

// Files returns a page of the entries of an active list, by its name, in the order of the
// list. The error is [api.NotFound] if no such list is active.
func (q *Query) Files(_ context.Context, list string, offset, limit uint32) ([]api.File, uint32, error) {
	e := q.Snapshot().List(list)
	if e == nil || !e.Active() {
		return nil, 0, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no active list %q", list), Advice: "see digestctl list"}
	}
	var page []api.File
	total := uint32(0)
	err := q.EachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		if total >= offset && uint32(len(page)) < limit {
			f := api.File{Path: string(path), Algo: algo.String(), Digest: hex.EncodeToString(digest)}
			if !utf8.Valid(path) {
				f.RawPath = slices.Clone(path)
			}
			page = append(page, f)
		}
		total++
		return nil
	})
	return page, total, err
}

// Floors returns the floors of all packages, by name and architecture, for each package that
// of the administrator first.
func (q *Query) Floors(context.Context) ([]api.Floor, error) {
	var floors []api.Floor
	for id, l := range q.Snapshot().Lines {
		if l.Floor.IsZero() {
			continue
		}
		f := api.Floor{Package: id.String(), EVR: l.Floor.String(), Counter: l.Counter}
		if !l.High.IsZero() {
			f.High = l.High.String()
		}
		if l.Multi && !l.Retired.IsZero() {
			f.Retired = l.Retired.String()
		}
		if l.FloorBy != nil {
			f.By = &api.Actor{UID: l.FloorBy.UID, PID: l.FloorBy.PID}
			f.Reason, f.When = l.FloorBy.Reason, l.FloorBy.When
		}
		floors = append(floors, f)
	}
	for _, some := range q.Snapshot().Floors {
		for _, o := range some {
			f := api.Floor{Package: o.Package, EVR: o.EVR.String(), Reason: o.Reason, When: o.Since, Origin: o.Origin, Strength: o.Strength, Keep: o.Keep}
			if o.Arch != "" {
				f.Package += "." + o.Arch
			}
			floors = append(floors, f)
		}
	}
	slices.SortFunc(floors, func(a, b api.Floor) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Origin, b.Origin))
	})
	return floors, nil
}
