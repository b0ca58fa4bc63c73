// SPDX-License-Identifier: Apache-2.0

// Package advisory applies the advisories of package repositories. It watches the metadata
// that package managers keep on this disk, has a process without rights read what changed,
// and tells the ledger, which decides what follows.
//
// It uses no network, and trusts a repository no further than its signature reaches: see
// [github.com/digestd/digestd/daemon/ledger/advice].
package advisory

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/advisory/needed"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/feed"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/repo/cache"
	"github.com/digestd/digestd/repo/metadata"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// The problems that this room tells of.
const (
	ProblemUnread = "advisories"
	ProblemBelow  = "below-advisories"
	ProblemDue    = "advisories-due"
)

// Adviser applies advisories.
type Adviser struct {
	*host.Host
	Changed chan struct{} // lists came or went
	Settled chan struct{} // takes, where there is room, whenever all that changed was applied; for tests
	Program string        // that reads repositories; see [feed.Argument]
	Settle  time.Duration // that the caches must be left alone before they are read
	Needs   func(root string) *needed.Files
	// Stepped returns by how much the clock was set since the last call; a test can give another.
	Stepped func(now time.Time) time.Duration

	began  time.Time // when it first judged, as the clock is set now
	keeper keeper
	failed map[string]string // why a repository could not be applied, by its stamp
}

// New returns an Adviser for h.
func New(h *host.Host) *Adviser {
	return &Adviser{Host: h, Changed: make(chan struct{}, 1), Settled: make(chan struct{}, 1), Program: feed.Program, Settle: settlePause, Needs: needed.Find, Stepped: new(steps).next, failed: map[string]string{}}
}

// Binds reports whether, by the configuration, advisories keep versions out.
func (a *Adviser) Binds() bool {
	return a.Config.Advisories == config.AdvisoriesKeepOut || a.Config.Advisories == config.AdvisoriesWithdraw
}

// Apply reads the advisories that have changed and brings them to the ledger. It reports
// whether some are left for a retry.
func (a *Adviser) Apply(ctx context.Context) (left bool) {
	found, errs := cache.Find(a.Config.Root)
	defer func() {
		for _, r := range found {
			r.Close()
		}
	}()
	keys := cache.KeyFiles(a.Config.Root)
	var problems []string
	for _, err := range errs {
		problems = append(problems, err.Error())
	}
	stamps := map[string]bool{}
	for _, r := range newest(found) {
		if ctx.Err() != nil {
			return true
		}
		w := a.word(r, keys[r.ID])
		stamps[w.Stamp] = true
		err := a.applyOne(ctx, r, w)
		if err != nil && ctx.Err() == nil {
			problems = append(problems, fmt.Sprintf("%s: %v", r.ID, err))
		}
	}
	for stamp := range a.failed {
		if !stamps[stamp] {
			delete(a.failed, stamp)
		}
	}
	a.Follow(ctx, problems)
	return len(problems) > 0
}

// newest chooses, of the same repository in several caches, what came last.
func newest(found []*cache.Repository) (chosen []*cache.Repository) {
	for _, r := range found {
		i := slices.IndexFunc(chosen, func(c *cache.Repository) bool { return c.ID == r.ID })
		switch {
		case i < 0:
			chosen = append(chosen, r)
		case r.Changed > chosen[i].Changed:
			chosen[i] = r
		}
	}
	return chosen
}

// word is the origin of a repository's advisories, with the keys by which it binds, and the
// stamp of all by which it is read.
func (a *Adviser) word(r *cache.Repository, keyFiles []string) record.Origin {
	snap := a.Snapshot()
	o := record.Origin{Name: record.OriginAdvisory + r.ID, Strength: "unsigned, from " + r.Manager + "'s cache"}
	for _, path := range keyFiles {
		blocks, _ := cache.ReadKeys(a.Config.Root, path)
		for _, data := range blocks {
			certs, _ := pgp.ParseCerts(data)
			for _, c := range certs {
				// The file says which keys are meant; whether they count is rpm's keyring to say.
				if snap.Keyring.Primary(c.Fingerprint) != nil && !slices.Contains(o.Keys, c.Fingerprint) {
					o.Keys = append(o.Keys, c.Fingerprint)
				}
			}
		}
	}
	slices.Sort(o.Keys)
	h := fnv.New64a()
	fmt.Fprintln(h, r.Dir, r.Stamp, a.Config.Advisories, o.Keys, snap.Keyring.Revokes())
	for _, name := range a.wanted(snap) {
		io.WriteString(h, name+"\n")
	}
	o.Stamp = fmt.Sprintf("%016x", h.Sum64())
	return o
}

// wanted are the architectures of packages, and, where advisories are only reported, the
// names that are installed: of others nothing is kept then.
func (a *Adviser) wanted(snap *view.Snapshot) []string {
	set := map[string]bool{}
	for _, e := range snap.Entries {
		if e.Own != "" {
			continue
		}
		set["."+e.Package.Arch] = true
		if !a.Binds() {
			set[e.Package.Name] = true
		}
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// errOlder is why metadata that is older than what was read before is ignored.
var errOlder = errors.New("its metadata is older than what was read before: its mirror went back, or somebody withholds advisories")

// applyOne reads one repository, if it changed since it was read.
func (a *Adviser) applyOne(ctx context.Context, r *cache.Repository, o record.Origin) error {
	snap := a.Snapshot()
	before, known := snap.Origins[o.Name]
	if known && before.Stamp == o.Stamp {
		return nil
	}
	if text := a.failed[o.Stamp]; text != "" {
		return errors.New(text) // nothing has changed
	}
	err := a.read(ctx, r, o, before)
	if err != nil && ctx.Err() == nil {
		a.failed[o.Stamp] = err.Error()
	}
	return err
}

func (a *Adviser) read(ctx context.Context, r *cache.Repository, o, before record.Origin) error {
	data, sig, err := r.Repomd(metadata.MaxRepomd)
	if err != nil {
		return err
	}
	if err := a.verify(&o, data, sig); err != nil {
		return err
	}
	m, err := feed.ReadRepomd(ctx, a.Program, data)
	if err != nil {
		return err
	}
	o.Made, o.Read = m.Made, a.Now()
	if o.Made.Before(before.Made) {
		return errOlder
	}
	floors, summary, err := a.readFiles(ctx, r, m)
	if err != nil {
		return err
	}
	o.Security, o.Beyond = summary.Security, summary.Beyond
	return a.Advise(ctx, o, floors)
}

// verify checks the signature of repomd.xml, if there is one, by keys that vouch for
// packages. One by a key that is not among them makes the word no stronger; one that is
// wrong, or by a key that was revoked, is an error.
func (a *Adviser) verify(o *record.Origin, data, sig []byte) error {
	if len(sig) == 0 {
		return nil
	}
	result, err := a.Snapshot().Keyring.VerifyDetached(data, sig, a.Now())
	var unknown *pgp.UnknownKeyError
	switch {
	case errors.As(err, &unknown):
		return nil
	case err != nil:
		return fmt.Errorf("its repomd.xml has a signature that is not valid: %w", err)
	}
	o.Strength = "signed by " + result.Cert.Fingerprint
	if !slices.Contains(o.Keys, result.Cert.Fingerprint) {
		o.Keys = append(o.Keys, result.Cert.Fingerprint)
	}
	return nil
}

// readFiles has the files read that the advisories are in. A repository without advisories
// has no floors.
func (a *Adviser) readFiles(ctx context.Context, r *cache.Repository, m metadata.Repomd) (floors []record.AdvisedFloor, s feed.Summary, err error) {
	files, err := feed.Open(r, m, feed.Primary, feed.Modules, feed.Updateinfo)
	defer func() {
		for _, f := range files {
			f.Open.Close()
		}
	}()
	if err != nil || !slices.ContainsFunc(files, func(f feed.File) bool { return f.Kind == feed.Updateinfo }) {
		return nil, s, err
	}
	archs, names := a.filter()
	s, err = feed.Read(ctx, a.Program, files, func(f feed.Floor) {
		if names != nil && !names[f.Name] || !slices.ContainsFunc(archs, func(arch string) bool { return policy.SameFamily(arch, f.Arch) }) {
			return
		}
		evr, _ := nevra.ParseEVR(f.EVR) // feed has checked it
		why := f.Advisory
		if why == "" {
			why = "an advisory without an ID"
		}
		floors = append(floors, record.AdvisedFloor{Name: f.Name, Arch: f.Arch, Stream: api.Clean(f.Stream), EVR: evr,
			Why: api.Clean(why), Severity: api.Clean(f.Severity), CVEs: f.CVEs})
	})
	return floors, s, err
}

// filter is of which packages floors are kept: of these architectures, and unless names is
// nil, of these names.
func (a *Adviser) filter() (archs []string, names map[string]bool) {
	if !a.Binds() {
		names = map[string]bool{}
	}
	for _, text := range a.wanted(a.Snapshot()) {
		if arch, is := strings.CutPrefix(text, "."); is {
			archs = append(archs, arch)
		} else if names != nil {
			names[text] = true
		}
	}
	return archs, names
}

// piece is how many floors the ledger takes in at a time: others have their turn between.
const piece = 5000

// Advise tells the ledger what a repository says. Its stamp comes with the last piece.
func (a *Adviser) Advise(ctx context.Context, o record.Origin, floors []record.AdvisedFloor) error {
	raised := 0
	for {
		n := min(len(floors), piece)
		last := n == len(floors)
		err := a.Exec.Enter(ctx, "advise", func(s *ledger.Ledger) error {
			now := o
			now.Epochs = s.Origins[o.Name].Epochs
			if !last {
				now.Stamp = ""
			}
			heard := s.Advise(now, floors[:n])
			const most = 20
			if raised += heard.Raised; len(floors) == n || len(heard.Epochs) > 0 {
				now.Epochs = heard.Epochs[:min(len(heard.Epochs), most)]
			}
			s.SetOrigin(&s.Queue.Batch, now)
			if last && raised > 0 {
				s.Event(record.Event{Kind: audit.KindAdvised, Reason: strings.TrimPrefix(o.Name, record.OriginAdvisory),
					Text: fmt.Sprintf("%s of packages raised, %s", view.Plural(raised, "floor"), o.Strength)})
			}
			s.Record()
			s.Show()
			return nil
		})
		if err != nil || last {
			return err
		}
		floors = floors[n:]
	}
}

// Follow carries out what follows from all that repositories said: it marks what is below,
// withdraws what is due, and says what an administrator should know, problems among that.
func (a *Adviser) Follow(ctx context.Context, problems []string) {
	grace := time.Duration(0)
	if a.Config.Advisories == config.AdvisoriesWithdraw {
		grace, _ = a.Config.Grace()
	}
	keep := a.keepers()
	now := a.Now()
	if a.began.IsZero() {
		a.began = now
	}
	began, by := a.began, a.Stepped(now)
	a.began = began.Add(by)
	a.Exec.Enter(ctx, "retract", func(s *ledger.Ledger) error {
		if by != 0 {
			s.ClockSet(began, by)
		}
		below := s.MarkBelow(grace, keep)
		if grace > 0 {
			a.retract(s, keep)
		}
		tellOf(s, ProblemUnread, api.SeverityWarning, problems, "cannot apply the advisories of ", "refresh the metadata: dnf makecache --refresh, or zypper refresh --force; digestd then tries again by itself")
		var names []string
		for _, e := range below {
			names = append(names, e.Package.String())
		}
		tellOf(s, ProblemBelow, api.SeverityNotice, names, fmt.Sprintf("advisories fix flaws of %s: ", view.Plural(len(names), "installed package")),
			"see digestctl advisories list; to fix them: "+Mend(a.Config.Root))
		s.Record()
		s.Show()
		return nil
	})
	select {
	case a.Settled <- struct{}{}:
	default:
	}
}

func tellOf(s *ledger.Ledger, id, severity string, what []string, words, advice string) {
	const few = 3
	if len(what) == 0 {
		s.Solved(id)
		return
	}
	text := words + strings.Join(what[:min(len(what), few)], "; ")
	if more := len(what) - few; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	s.Problem(id, severity, text, advice)
}
