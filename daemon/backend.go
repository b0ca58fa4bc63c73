// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Status reports the daemon at a glance.
func (q *Query) Status() api.Status {
	snap := q.snapshot()
	m := q.maker.Load()
	st := api.Status{
		Version: api.Version, Mode: snap.Mode.String(), Root: q.config.Root, ListDirectory: q.config.Lists,
		Format: m.format, Sign: m.sign, Unsigned: m.unsigned.String(),
		DatabasePath: snap.DBPath, DatabaseKind: snap.DBKind, Since: snap.Since,
		Certificate: describeCertificate(m.identity.cert, m.identity.path),
		Transaction: snap.Open > 0, LastSync: snap.LastSync, Problems: snap.Problems, Counter: snap.Counter, LastEvent: snap.LastEvent,
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
		if k := snap.DescribeKey(snap.Keys[c.Fingerprint], q.now()); k.State != api.KeyRevoked {
			st.Keys = append(st.Keys, k)
		}
	}
	q.verifier.addVerified(&st)
	return st
}

func describeCertificate(c *x509.Certificate, path string) api.Certificate {
	sum := sha256.Sum256(c.Raw)
	return api.Certificate{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]),
		SKI: hex.EncodeToString(c.SubjectKeyId), NotAfter: c.NotAfter, Path: path}
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
		l.Path = filepath.Join(q.config.Lists, e.Name)
	}
	return l
}

func (q *Query) describeAside(a record.Aside) api.List {
	l := api.List{Name: a.List, Path: filepath.Join(q.dir.QuarantinePath(), a.Name), State: api.StateQuarantined,
		Reason: "tampered", Text: a.Reason, Since: a.When}
	if !a.Digest.IsZero() {
		l.BodyDigest = a.Digest.String()
	}
	return l
}

// Lists returns a page of the lists that filter selects.
func (q *Query) Lists(_ context.Context, filter string, offset, limit uint32) ([]api.List, uint32, error) {
	snap := q.snapshot()
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
		return nil, api.Errorf(api.InvalidArgument, "%q is no pattern: %v", filter, err)
	}
	return func(_, list, pkg string) bool {
		byList, _ := path.Match(filter, list)
		byPackage, _ := path.Match(filter, pkg)
		return byList || byPackage
	}, nil
}

// Show returns the lists of a package: a name, name.arch or NEVRA.
func (q *Query) Show(_ context.Context, pkg string) ([]api.List, error) {
	snap := q.snapshot()
	var found []api.List
	for _, e := range snap.Entries {
		if names(pkg, e.Package, e.Name) {
			found = append(found, q.describe(snap, e))
		}
	}
	if found == nil {
		return nil, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no package %q is installed", pkg), Advice: "see digestctl list"}
	}
	return found, nil
}

// Files returns a page of the entries of a list.
func (q *Query) Files(_ context.Context, list string, offset, limit uint32) ([]api.File, uint32, error) {
	e := q.snapshot().List(list)
	if e == nil || !e.Active() {
		return nil, 0, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no active list %q", list), Advice: "see digestctl list"}
	}
	var page []api.File
	total := uint32(0)
	err := q.eachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
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

// Floors returns what keeps old versions out, for every line that has a floor.
func (q *Query) Floors(context.Context) ([]api.Floor, error) {
	var floors []api.Floor
	for id, l := range q.snapshot().Lines {
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
	slices.SortFunc(floors, func(a, b api.Floor) int { return cmp.Compare(a.Package, b.Package) })
	return floors, nil
}

// Sync brings the lists in step with rpm's database.
func (ad *Admin) Sync(ctx context.Context, by api.Actor, report func(stage string, done, total int)) (api.SyncResult, error) {
	ad.log.Info("sync asked for", "uid", by.UID, "pid", by.PID)
	result, err := ad.reconciler.runSync(ctx, reasonAsked, report)
	if err == nil {
		err = ad.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
			s.Solved(grounds.ProblemIndexLost)
			s.Show()
			return nil
		})
	}
	return result, err
}

// RollbackGrant permits one version, once.
func (ad *Admin) RollbackGrant(ctx context.Context, by api.Actor, pkg, reason string) (api.Grant, error) {
	return ad.grant(ctx, by, pkg, reason)
}

// RollbackRevoke takes back a grant that was not used.
func (ad *Admin) RollbackRevoke(ctx context.Context, by api.Actor, pkg string) error {
	return ad.revokeGrant(ctx, by, pkg)
}

// FloorSet sets the version below which nothing of a package may be active.
func (ad *Admin) FloorSet(ctx context.Context, by api.Actor, pkg, evr, reason string) error {
	return ad.setFloor(ctx, by, pkg, evr, reason)
}

// FloorClear removes the floor of a package.
func (ad *Admin) FloorClear(ctx context.Context, by api.Actor, pkg, reason string) error {
	return ad.clearFloor(ctx, by, pkg, reason)
}
