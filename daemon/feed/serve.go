// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/kernel/confine"
	"github.com/digestd/digestd/repo/metadata"
	"github.com/digestd/digestd/repo/updateinfo"
	"golang.org/x/sys/unix"
)

// limits of the process: time for the largest repository. Address space is what Go reserves,
// of which it uses little; what is kept has bounds of its own.
var limits = map[int]uint64{
	unix.RLIMIT_AS:  4 << 30,
	unix.RLIMIT_CPU: 120,
}

// firstFile is the descriptor of the first file.
const firstFile = 3

// Serve is the process that reads. It confines itself first, for good.
func Serve(in io.Reader, out io.Writer) error {
	if err := confine.Process(limits); err != nil {
		return fmt.Errorf("cannot confine the process that reads repositories: %w", err)
	}
	debug.SetGCPercent(50)
	return reply(in, out, func(i int) io.Reader { return os.NewFile(uintptr(firstFile+i), "") })
}

// reply reads what is asked and answers it. file returns a file of the request by its index.
func reply(in io.Reader, out io.Writer, file func(i int) io.Reader) error {
	var ask request
	if err := json.NewDecoder(in).Decode(&ask); err != nil {
		return fmt.Errorf("cannot read what is asked: %w", err)
	}
	files := make([]io.Reader, len(ask.Files))
	for i := range files {
		files[i] = file(i)
	}
	w := bufio.NewWriter(out)
	s := &server{ask: ask, out: json.NewEncoder(w), offered: map[string]*version{}, best: map[key]*found{}}
	if err := s.serve(files); err != nil {
		s.out.Encode(answer{Error: err.Error()})
	}
	return w.Flush()
}

// key is what has one floor.
type key struct{ name, arch, stream string }

// version is the highest that is offered.
type version struct{ nevra.EVR }

// found is the highest version, of what is offered, that mends something.
type found struct {
	evr nevra.EVR
	by  *said
}

// said is an advisory as it is kept for floors.
type said struct {
	id, severity string
	cves         []string
}

type server struct {
	ask     request
	out     *json.Encoder
	offered map[string]*version // by name, architecture and stream, with spaces between
	best    map[key]*found
	sum     Summary
}

func (s *server) serve(files []io.Reader) error {
	if s.ask.Repomd != nil {
		m, err := metadata.ReadRepomd(bytes.NewReader(s.ask.Repomd))
		if err != nil {
			return err
		}
		return s.out.Encode(answer{Repomd: &m})
	}
	// The offered versions come before the versions with fixes.
	for _, kind := range []string{Primary, Modules, Updateinfo} {
		for i, f := range s.ask.Files {
			if f.Kind != kind || s.ask.Find != "" && kind != Updateinfo {
				continue
			}
			checked, err := metadata.Check(files[i], f.File)
			if err != nil {
				return err
			}
			// A file that is not the one that is listed fails for that, whatever it says.
			rerr := s.read(kind, checked)
			if err := checked.Done(); err != nil {
				return err
			}
			if rerr != nil {
				return rerr
			}
		}
	}
	return s.tell()
}

func (s *server) read(kind string, r io.Reader) error {
	switch kind {
	case Primary:
		return metadata.ReadPrimary(r, func(n nevra.NEVRA) {
			s.sum.Packages++
			s.offer("", n)
		})
	case Modules:
		return metadata.ReadModules(r, s.offer)
	}
	everything := func(string, string) bool { return true }
	if s.ask.Find != "" {
		return updateinfo.Read(r, everything, s.look)
	}
	return updateinfo.Read(r, everything, s.take)
}

func offeredKey(n nevra.NEVRA, stream string) string { return n.Name + " " + n.Arch + " " + stream }

// offer takes in a build that the repository has. Builds of modules are counted by their
// stream alone.
func (s *server) offer(stream string, n nevra.NEVRA) {
	k := offeredKey(n, stream)
	switch v := s.offered[k]; {
	case v == nil:
		s.offered[k] = &version{n.EVR}
	case nevra.Compare(n.EVR, v.EVR) > 0:
		v.EVR = n.EVR
	}
}

// take takes in an advisory.
func (s *server) take(a *updateinfo.Advisory) error {
	s.sum.Advisories++
	if a.Type != "security" {
		return nil
	}
	s.sum.Security++
	s.sum.Unreadable += a.Unreadable
	if t := a.Time(); t.After(s.sum.Newest) {
		s.sum.Newest = t
	}
	var by *said
	for _, p := range a.Packages {
		have := s.offered[offeredKey(p.NEVRA, p.Stream)]
		if have == nil || nevra.Compare(p.EVR, have.EVR) > 0 {
			s.sum.Beyond++
			continue
		}
		k := key{p.Name, p.Arch, p.Stream}
		f := s.best[k]
		if f != nil && nevra.Compare(p.EVR, f.evr) <= 0 {
			continue
		}
		if by == nil {
			by = &said{a.ID, a.Severity, slices.Clone(a.CVEs[:min(len(a.CVEs), keptCVEs)])}
		}
		if f == nil {
			if len(s.best) == MaxFloors {
				return fmt.Errorf("its advisories are about more than %d packages", MaxFloors)
			}
			f = &found{}
			s.best[k] = f
		}
		f.evr, f.by = p.EVR, by
	}
	return nil
}

// look tells of an advisory that was asked for.
func (s *server) look(a *updateinfo.Advisory) error {
	if a.ID != s.ask.Find && !slices.Contains(a.CVEs, s.ask.Find) {
		return nil
	}
	const mostCVEs, mostPackages = 100, 500
	told := Said{ID: a.ID, Type: a.Type, Severity: a.Severity, Issued: a.Issued, CVEs: a.CVEs[:min(len(a.CVEs), mostCVEs)], Packages: []string{}}
	for _, p := range a.Packages[:min(len(a.Packages), mostPackages)] {
		told.Packages = append(told.Packages, p.NEVRA.Full())
	}
	told.More = len(a.Packages) - len(told.Packages)
	return s.out.Encode(answer{Said: &told})
}

// tell says what was found, by package.
func (s *server) tell() error {
	keys := make([]key, 0, len(s.best))
	for k := range s.best {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.arch, b.arch), cmp.Compare(a.stream, b.stream))
	})
	for _, k := range keys {
		f := s.best[k]
		line := answer{Floor: &Floor{Name: k.name, Arch: k.arch, Stream: k.stream, EVR: f.evr.String(), Advisory: f.by.id, Severity: f.by.severity, CVEs: f.by.cves}}
		if err := s.out.Encode(line); err != nil {
			return err
		}
	}
	return s.out.Encode(answer{Summary: &s.sum})
}
