// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// rpm -q prints no epoch. A version that is named without one is therefore of the
// epoch that the package has here, and not of epoch 0.

// epochs returns those of what is installed of a name, on one architecture unless
// arch is "", or else of what is remembered of it.
func (s *Snapshot) epochs(name, arch string) []uint32 {
	found := map[uint32]bool{}
	for _, e := range s.Entries {
		if e.Package.Name == name && (arch == "" || e.Package.Arch == arch) {
			found[e.Package.Epoch] = true
		}
	}
	if len(found) > 0 {
		return slices.Sorted(maps.Keys(found))
	}
	for id, l := range s.Lines {
		if id.Name != name || arch != "" && id.Arch != "" && id.Arch != arch {
			continue
		}
		for _, e := range []nevra.EVR{l.High, l.Retired, l.Floor} {
			if !e.IsZero() {
				found[e.Epoch] = true
			}
		}
	}
	if len(found) == 0 && arch != "" {
		return s.epochs(name, "") // of another architecture
	}
	return slices.Sorted(maps.Keys(found))
}

// Epoch returns the epoch that a version of a package has which was named without one, and
// whether anything is known of that package. If there are several it refuses and lists them.
func (s *Snapshot) Epoch(name, arch, version string) (epoch uint32, known bool, err error) {
	found := s.epochs(name, arch)
	switch len(found) {
	case 0:
		return 0, false, nil
	case 1:
		return found[0], true, nil
	}
	var texts []string
	for _, e := range found {
		texts = append(texts, fmt.Sprintf("%d:%s", e, version))
	}
	return 0, true, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%s has versions with several epochs here, and %s gives none", name, version),
		Advice: "give the epoch: " + strings.Join(texts, " or ")}
}

// Resolve returns the package that text names, which was read as pkg.
func (s *Snapshot) Resolve(pkg nevra.NEVRA, text string) (nevra.NEVRA, error) {
	if strings.Contains(text, ":") {
		return pkg, nil // own:NAME, too
	}
	alike := func(e nevra.EVR) bool { return e.Version == pkg.Version && e.Release == pkg.Release }
	exact := map[uint32]bool{}
	for _, e := range s.Entries {
		if e.Package.Name == pkg.Name && e.Package.Arch == pkg.Arch && alike(e.Package.EVR) {
			exact[e.Package.Epoch] = true
		}
	}
	l := s.Lines[LineOf(pkg)]
	for _, g := range l.Grants {
		if alike(g.EVR) {
			exact[g.EVR.Epoch] = true
		}
	}
	if len(exact) == 1 {
		for e := range exact {
			pkg.Epoch = e
		}
		return pkg, nil
	}
	epoch, _, err := s.Epoch(pkg.Name, pkg.Arch, pkg.Version+"-"+pkg.Release)
	pkg.Epoch = epoch
	return pkg, err
}

// ResolveRange does the same for versions of a package. If no package of that name is known,
// the versions apply to every epoch.
func (s *Snapshot) ResolveRange(r *policy.Range, text string) (err error) {
	if strings.Contains(text, ":") {
		return nil
	}
	known := true
	switch {
	case !r.Exact.IsZero():
		pkg, err := s.Resolve(nevra.NEVRA{Name: r.Name, EVR: r.Exact, Arch: r.Arch}, text)
		if err != nil {
			return err
		}
		r.Exact = pkg.EVR
		known = len(s.epochs(r.Name, r.Arch)) > 0
	case !r.Below.IsZero():
		r.Below.Epoch, known, err = s.Epoch(r.Name, r.Arch, strings.TrimPrefix(policy.BoundText(r.Below), "0:"))
	}
	r.AnyEpoch = !known
	return err
}

// Names reports whether text names a package: by its name, name.arch, NEVRA, with or
// without its epoch, or list.
func Names(text string, n nevra.NEVRA, list string) bool {
	return text == n.Name || text == n.Name+"."+n.Arch || text == n.String() || text == n.Full() || text == n.Name+"-"+n.Version+"-"+n.Release+"."+n.Arch || text == list
}
