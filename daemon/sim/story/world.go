// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"slices"
)

// Package is one build of a version of a package. Versions are rungs of a
// ladder: how a System writes them down is its own matter.
type Package struct {
	Name    string
	Arch    string
	Version int
	Build   int
	Key     string // which signed it, "" for none; see SubkeyOf
	Multi   bool   // versions are installed side by side
	// Contents are what its files hold, each a number. Packages share some.
	Contents []int

	id, list string // what String and List return
}

// String names the build: name, version, build and architecture.
func (p Package) String() string { return p.id }

// List names the list of p: builds of one version share it.
func (p Package) List() string { return p.list }

// pool is all that can be installed. hop changes its architecture from one
// version to the next, kern is installed side by side, some builds are signed by
// another key or by none.
var pool = makePool()

// byList are the builds that share a list.
var byList = func() map[string][]Package {
	builds := map[string][]Package{}
	for _, p := range pool {
		builds[p.list] = append(builds[p.list], p)
	}
	return builds
}()

const (
	rungs  = 4
	Shared = 1 // a content that many packages have
)

// Subkey ends the name of a key's subkey.
const Subkey = ".sub"

// SubkeyOf names the subkey of a key.
func SubkeyOf(key string) string { return key + Subkey }

// Certificate is a certificate in rpm's keyring, and what it says now.
type Certificate struct {
	Key       string
	Expires   int  // the day, 0 for never
	Retracted bool // its subkey is revoked
}

func makePool() (all []Package) {
	add := func(name, arch string, multi bool, version, build int, key string) {
		n := 100 * (len(all) + 1)
		all = append(all, Package{
			Name: name, Arch: arch, Version: version, Build: build, Key: key, Multi: multi,
			Contents: []int{n, n + 1, Shared},
			id:       fmt.Sprintf("%s-%d.%d.%s", name, version, build, arch), list: fmt.Sprintf("%s-%d.%s", name, version, arch),
		})
	}
	for v := 1; v <= rungs; v++ {
		add("app", "noarch", false, v, 0, "A")
		add("kern", "x86_64", true, v, 0, "A")
		add("tool", "x86_64", false, v, 0, []string{"B", "A", "B", "A"}[v-1])
		add("hop", []string{"noarch", "x86_64"}[v%2], false, v, 0, "A")
	}
	add("app", "noarch", false, 2, 1, "A")
	add("app", "noarch", false, 3, 1, "B")
	add("tool", "x86_64", false, 2, 1, SubkeyOf("B"))
	add("free", "noarch", false, 1, 0, "")
	add("free", "noarch", false, 2, 0, "C") // by a key that nobody trusts at first
	add("sub", "noarch", false, 1, 0, SubkeyOf("B"))
	add("sub", "noarch", false, 2, 0, SubkeyOf("B"))
	return all
}

// OwnNames are what lists of the owner's are called.
var OwnNames = []string{"local", "site"}

// OwnContents are what a list of the owner's holds that is made of a content.
func OwnContents(content int) []int { return []int{content, 9000} }

// OwnList names the list of the owner's of that name, as a system shows it.
func OwnList(name string) string { return "own " + name }

// Named returns the package that String names.
func Named(text string) (Package, bool) {
	i := slices.IndexFunc(pool, func(p Package) bool { return p.id == text })
	if i < 0 {
		return Package{}, false
	}
	return pool[i], true
}

// Installed is what rpm's database holds.
type Installed []Package

// Has reports whether that very build is installed.
func (in Installed) Has(p Package) bool {
	return slices.ContainsFunc(in, func(q Package) bool { return q.id == p.id })
}

// With is what is there after p came and what it replaces went.
func (in Installed) With(p Package) Installed {
	return append(in.Without(in.Replaced(p)...), p)
}

// Replaced are the packages that go when p comes: another build of the same
// version and, but for packages that are installed side by side, other versions.
func (in Installed) Replaced(p Package) (gone []Package) {
	for _, q := range in {
		if q.Name == p.Name && (!p.Multi || q.Version == p.Version) {
			gone = append(gone, q)
		}
	}
	return gone
}

// Without is what is there after builds went.
func (in Installed) Without(gone ...Package) (rest Installed) {
	for _, q := range in {
		if !slices.ContainsFunc(gone, func(p Package) bool { return p.id == q.id }) {
			rest = append(rest, q)
		}
	}
	return rest
}

// Packages are all that can be installed.
func Packages() []Package { return slices.Clone(pool) }

// Sorted sorts contents as a system shows them.
func Sorted(contents []int) []int {
	slices.Sort(contents)
	return contents
}

// Range is versions of a package, below one of them; 0 is every version. A denial lasts until a
// day, 0 means for ever.
type Range struct {
	Name  string
	Below int
	Until int
}

// Has reports whether p is one of them.
func (r Range) Has(p Package) bool { return r.Name == p.Name && (r.Below == 0 || p.Version < r.Below) }

// Builds are the packages that share a list.
func Builds(list string) []Package { return byList[list] }
