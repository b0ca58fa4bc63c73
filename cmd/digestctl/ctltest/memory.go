// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/guard/manage"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
)

// Daemon answers from memory, so that what digestctl prints can be
// compared byte for byte. It decides nothing: that is tested with the real
// daemon.
type Daemon struct {
	ctx       context.Context
	syncing   chan struct{}
	cancelled chan struct{}

	mu      sync.Mutex
	variant string // degraded, empty, busy, broken, incomplete, eventful
	floors  []api.Floor
	log     []api.Event
	root    string // that digestd looks after, "" for /
	own     memoryOwn
	anchor  memoryAnchor
	places  api.Places

	guard atomic.Pointer[manage.Manager]
}

func newDaemon() *Daemon {
	m := &Daemon{ctx: context.Background(), syncing: make(chan struct{}, 1), cancelled: make(chan struct{}, 1)}
	m.guard.Store(manage.New(manage.Setup{Wanted: api.GuardOff}))
	return m
}

// Vary has the daemon answer otherwise from now on: degraded, empty, busy, broken,
// incomplete, eventful, many, "" as at first.
func (m *Daemon) Vary(v string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.variant = v
}

// Places has digestd use these files and directories.
func (m *Daemon) Places(p api.Places) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.places = p
}

// Root has digestd look after another root than /.
func (m *Daemon) Root(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root = dir
}

func (m *Daemon) is(v string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.variant == v
}

var (
	// Noon is when everything happened that a Daemon tells of at first.
	Noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// VendorKey is the fingerprint of the key that signed its packages.
	VendorKey = "4fe2b1a0c8d93b7e6a5f4d3c2b1a09f8e7d6c5b4"
	hexA      = strings.Repeat("a1", 32)
	hexB      = strings.Repeat("b2", 32)
)

// ForeignNames are wide, read from the right, combined of several characters, and made to
// deceive those who read them.
var ForeignNames = []string{"日本語フォント", "גופנים", "عربي", "cafe\u0301", "👩\u200d💻", "\u202egnp.exe"}

var memoryLists = []api.List{
	{Name: "tlv-bash-0:5.2-1.x86_64", Path: "/etc/digest_lists/tlv-bash-0:5.2-1.x86_64", NEVRA: "bash-5.2-1.x86_64",
		State: api.StateActive, Key: VendorKey, KeyOwner: "Vendor <security@vendor.example>", Signer: "0011aabb",
		HeaderDigest: hexA, BodyDigest: hexB, Files: 3, Counter: 7, Since: Noon},
	{Name: "tlv-evil-0:1-1.noarch", NEVRA: "evil\x1b[2J-1-1.noarch", State: api.StateWithheld, Reason: "unsigned",
		Text: "the package is not signed", Files: 1, Since: Noon},
	{Name: "tlv-intruder", Path: "/etc/digest_lists.quarantine/tlv-intruder", State: api.StateQuarantined,
		Reason: "tampered", Text: "another program put it there", Since: Noon},
}

func (m *Daemon) Status() api.Status {
	st := api.Status{
		Version: api.Version, Mode: "enforce", Root: "/", ListDirectory: "/etc/digest_lists", Format: "tlv", Sign: "pkcs7",
		Unsigned: "withhold", DatabasePath: "/usr/lib/sysimage/rpm", DatabaseKind: "sqlite", Since: Noon, Packages: 2,
		Lists: api.Counts{Active: 1, Withheld: 1, Quarantined: 1}, Files: 3, Counter: 7,
		Keys: []api.Key{{Fingerprint: VendorKey, Owner: "Vendor <security@vendor.example>", Algorithm: "rsa3072", Source: "rpm"}},
		Certificate: api.Certificate{Subject: "CN=machine", Fingerprint: hexA, SKI: "0011aabb",
			NotAfter: Noon.AddDate(30, 0, 0), Path: "/var/lib/digestd/signing.crt"},
		LastSync: api.LastSync{When: Noon, SyncResult: api.SyncResult{Installed: 2, Published: 1, Duration: 410 * time.Millisecond}},
	}
	m.mu.Lock()
	st.LastEvent = uint64(len(m.events()))
	st.Root, st.Places = cmp.Or(m.root, st.Root), m.places
	m.mu.Unlock()
	if m.is("degraded") {
		st.Verified = api.Verification{State: api.VerifyFinished, All: true, Ended: Noon, Files: 5, Errors: 3, Counts: api.VerifyCounts{Changed: 1, Unvouched: 2}}
		st.Transaction = true
		st.Problems = []api.Problem{
			{ID: "index-lost", Severity: api.SeverityError, Text: "the index was rolled back", Advice: "set floors again"},
			{ID: "hook", Severity: api.SeverityNotice, Text: "no package manager used the hook yet"},
		}
	}
	return st
}

func (m *Daemon) Lists(_ context.Context, filter string, offset, limit uint32) ([]api.List, uint32, error) {
	var all []api.List
	if m.is("scripts") {
		for i, name := range ForeignNames {
			l := memoryLists[0]
			l.NEVRA, l.Files = name+"-1-1.noarch", i+8
			all = append(all, l)
		}
		return all, uint32(len(all)), nil
	}
	if m.is("many") {
		for range 2500 {
			all = append(all, memoryLists[0])
		}
	}
	for _, l := range memoryLists {
		match, _ := path.Match(filter, l.NEVRA)
		if name, _, _ := strings.Cut(l.NEVRA, "-"); !match {
			match, _ = path.Match(filter, name)
		}
		if !m.is("empty") && !m.is("many") && (filter == "" || filter == l.State || match) {
			all = append(all, l)
		}
	}
	page := all[min(int(offset), len(all)):]
	return page[:min(int(limit), len(page))], uint32(len(all)), nil
}

func (m *Daemon) Show(_ context.Context, pkg string) ([]api.List, error) {
	for _, l := range memoryLists {
		if pkg == l.NEVRA || pkg == "bash" && l.Counter == 7 {
			return []api.List{l}, nil
		}
	}
	if m.is("broken") {
		panic("a fault of the daemon")
	}
	return nil, &api.Error{Code: api.NotFound, Message: "no list of " + pkg + " is known", Advice: "see digestctl list"}
}

func (m *Daemon) Files(_ context.Context, list string, offset, limit uint32) ([]api.File, uint32, error) {
	files := []api.File{
		{Path: "/usr/bin/bash", Algo: "sha256", Digest: hexA},
		{Path: "/usr/share/doc/bash/new\nline", Algo: "sha256", Digest: hexB},
		{Path: "/usr/share/doc/bash/latin-\uFFFD", RawPath: []byte("/usr/share/doc/bash/latin-\xe9"), Algo: "sha256", Digest: hexB},
	}
	return files[min(int(offset), len(files)):], uint32(len(files)), nil
}

func (m *Daemon) Why(_ context.Context, by api.Actor, file string) (api.Why, error) {
	bash := api.WhyList{List: memoryLists[0].Name, State: api.StateActive, NEVRA: "bash-5.2-1.x86_64",
		Key: VendorKey, KeyOwner: "Vendor <security@vendor.example>", Counter: 7, PathMatches: true}
	w := api.Why{Path: file, RealPath: file, Algo: "sha256", Digest: hexA, Reasons: []string{}, Lists: []api.WhyList{}}
	switch path.Base(file) {
	case "good", "caf\xe9":
		bash.DigestMatches = true
		w.Vouched, w.Verdict, w.Text = true, api.VerdictVouched, "vouched for by bash-5.2-1.x86_64"
		w.Owner, w.OwnerState, w.Label = bash.NEVRA, api.StateActive, bash.List
		w.Lists = []api.WhyList{bash}
	case "altered":
		bash.Expected = hexB
		w.Verdict, w.Text = api.VerdictAltered, "not vouched for: altered since bash-5.2-1.x86_64 was installed"
		w.Owner, w.OwnerState = bash.NEVRA, api.StateActive
		w.Lists = []api.WhyList{bash}
		w.Reasons = []string{"bash-5.2-1.x86_64 has this path with another content"}
		w.Advice = "if the change was not intended, reinstall bash-5.2-1.x86_64"
	case "secret":
		if by.UID != 0 {
			return w, &api.Error{Code: api.AccessDenied, Message: "permission denied: " + file + " yourself", Advice: "ask as root"}
		}
	case "unknown":
		w.Verdict, w.Text = api.VerdictUnknown, "not vouched for: no list includes it"
		w.Advice = "install it from a signed package"
	default:
		w.Verdict, w.Text, w.Algo, w.Digest = api.VerdictMissing, "there is no such file", "", ""
	}
	return w, nil
}

func (m *Daemon) WhyContent(ctx context.Context, path string, c api.Content) (api.Why, error) {
	as := "/missing"
	switch {
	case c.Found && len(c.SHA256) == 32 && len(c.SHA384) == 48 && len(c.SHA512) == 64 && c.RealPath != "":
		as = "/good"
	case c.Found && len(c.SHA256) == 32 && c.RealPath == "": // of what the guard refused
		as = "/unknown"
	}
	w, err := m.Why(ctx, api.Actor{}, as)
	w.Path, w.RealPath = path, path
	return w, err
}

// Check goes by the name of the package: what is called old is a rollback, and so on.
func (m *Daemon) Check(ctx context.Context, head, signatures []byte) (api.Check, error) {
	h, err := header.Parse(head)
	if err != nil {
		return api.Check{}, &api.Error{Code: api.InvalidArgument, Message: "cannot read the header of the package: " + err.Error(), Advice: "download the package again"}
	}
	pkg, err := h.NEVRA()
	if err != nil {
		return api.Check{}, err
	}
	c, err := m.CheckVersion(ctx, pkg.String())
	c.Header, c.List, c.Files = true, "tlv-"+pkg.Full(), 1
	if len(signatures) > 0 {
		c.Key, c.KeyOwner = hexA[:40], "vendor"
	}
	return c, err
}

func (m *Daemon) CheckVersion(_ context.Context, text string) (api.Check, error) {
	pkg, err := nevra.Parse(text)
	if err != nil {
		return api.Check{}, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is not a package version: %v", text, err)}
	}
	c := api.Check{NEVRA: pkg.String(), Verdict: api.CheckAllowed, Text: pkg.String() + " would be installed with a list"}
	switch pkg.Name {
	case "old":
		c.Verdict, c.Reason, c.Text = api.CheckRefused, "rollback", pkg.String()+" is older than 2-1, which was active here"
		c.Advice, c.Active = "to permit it once: digestctl rollback grant "+pkg.String()+" --reason WHY", []string{"old-2-1.noarch"}
	case "stranger":
		c.Verdict, c.Reason, c.Text = api.CheckWithheld, "unknown-key", pkg.String()+": it is signed by a key that is not trusted"
	}
	return c, nil
}

func (m *Daemon) RollbackLog(_ context.Context, offset, limit uint32) ([]api.Event, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := m.log[min(int(offset), len(m.log)):]
	return page[:min(int(limit), len(page))], uint32(len(m.log)), nil
}

func (m *Daemon) Floors(context.Context) ([]api.Floor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.floors, nil
}

func (m *Daemon) Sync(ctx context.Context, _ api.Actor, report func(string, int, int)) (r api.SyncResult, err error) {
	packages := 2
	if m.is("many") {
		packages = 5000
	}
	report("verifying", 0, packages)
	if m.is("busy") {
		m.syncing <- struct{}{}
		<-ctx.Done()
		m.cancelled <- struct{}{}
		return r, ctx.Err()
	}
	report("verifying", packages, packages)
	report("publishing", packages, packages)
	r = api.SyncResult{Installed: 2, Published: 1, Kept: 1, Duration: 410 * time.Millisecond}
	if m.is("incomplete") {
		r.Withheld, r.Quarantined, r.Failed = 1, 1, 1
	}
	if m.is("broken") {
		return r, &api.Error{Code: api.Failed, Message: "cannot write list: no space left on device", Advice: "free space on /etc, then: digestctl sync"}
	}
	return r, nil
}

// record appends to the log, newest first.
func (m *Daemon) record(e api.Event) {
	e.Seq, e.When = uint64(len(m.log)+1), Noon.Add(time.Duration(len(m.log))*time.Minute)
	e.Actor.PID, e.Actor.Sender = 0, ""
	m.log = append([]api.Event{e}, m.log...)
}

func (m *Daemon) RollbackGrant(_ context.Context, by api.Actor, pkg, reason string) (api.Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.Contains(pkg, ".") {
		return api.Grant{}, &api.Error{Code: api.InvalidArgument, Message: `"` + pkg + `" is not a package version`, Advice: "use the form of rpm -q"}
	}
	m.record(api.Event{Kind: "granted", NEVRA: pkg, Text: reason, Actor: by})
	return api.Grant{Package: pkg, UID: by.UID, Reason: reason, When: Noon}, nil
}

func (m *Daemon) RollbackRevoke(_ context.Context, by api.Actor, pkg string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.variant == "busy" {
		return &api.Error{Code: api.Busy, Message: "a running transaction uses the grant for " + pkg, Advice: "wait until it ends; to withdraw the list: digestctl deny"}
	}
	if len(m.log) == 0 || m.log[0].Kind != "granted" || m.log[0].NEVRA != pkg {
		return &api.Error{Code: api.NotFound, Message: "there is no unused grant for " + pkg, Advice: "see digestctl rollback log"}
	}
	m.record(api.Event{Kind: "grant-revoked", NEVRA: pkg, Actor: by})
	return nil
}

func (m *Daemon) FloorSet(_ context.Context, by api.Actor, pkg, evr, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	by.PID, by.Sender = 0, ""
	pkg = strings.TrimSuffix(pkg, ".x86_64") + ".x86_64"
	if slices.ContainsFunc(m.floors, func(f api.Floor) bool { return f.Package == pkg && f.EVR == evr }) {
		return &api.Error{Code: api.Unchanged, Message: "the floor of " + pkg + " is " + evr + " already", Advice: "see digestctl floor list"}
	}
	m.floors = append(m.floors, api.Floor{Package: pkg, EVR: evr, High: "0:5.2-1", Counter: 7, By: &by, Reason: reason, When: Noon})
	return nil
}

func (m *Daemon) FloorClear(_ context.Context, by api.Actor, pkg, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.floors) == 0 {
		return &api.Error{Code: api.NotFound, Message: pkg + " has no floor", Advice: "see digestctl floor list"}
	}
	m.floors = nil
	return nil
}

// Syncing waits until a sync runs, or that long.
func (m *Daemon) Syncing(most time.Duration) bool { return happens(m.syncing, most) }

// Cancelled waits until a sync was cancelled, or that long.
func (m *Daemon) Cancelled(most time.Duration) bool { return happens(m.cancelled, most) }

func happens(event <-chan struct{}, most time.Duration) bool {
	select {
	case <-event:
		return true
	case <-time.After(most):
		return false
	}
}
