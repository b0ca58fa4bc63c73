// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/sim/imaged"
	"github.com/digestd/digestd/daemon/sim/story"
)

// ground is what a machine has that no act of digestd changes.
type ground struct {
	image imaged.Image
	other Installed // what the other installed system has, see Deploy
}

// lay puts a list into the image.
func (r *runner) lay(what string) error {
	name, by, _ := strings.Cut(what, "=")
	p, known := story.Named(name)
	if !known || !r.image.There() {
		return nil
	}
	r.image.Lay(p, by)
	return r.sys.Image(p, by)
}

// build changes what the certificate of the image's builder is worth.
func (r *runner) build(how string) error {
	if !r.image.There() {
		return nil
	}
	fact := how != BuilderRevoke && how != BuilderRestore
	err := r.act(func() error { return r.sys.Builder(how) }, func(m *Model) { m.builder.Becomes(how) }, fact)
	if err != nil {
		return err
	}
	return r.compare() // what it signed is signed anew
}

// disowned reports whether a list is there by the builder of an image who does not count any more.
// To the System it is another program's.
func (r *runner) disowned() bool {
	return r.image.There() && slices.ContainsFunc(r.models, func(m *Model) bool { return !m.builder.Stands() }) &&
		slices.Contains(slices.Collect(maps.Values(r.sys.Signed())), story.ByBuilder)
}

// signatures holds who signed lists to the models, at rest. Lists of before were there when the
// comparison began; certain says that nothing else happened in its midst.
func (r *runner) signatures(before map[string][]int, certain bool) error {
	if !r.image.There() {
		return nil
	}
	signed, dir := r.sys.Signed(), r.sys.Directory()
	for _, list := range slices.Sorted(maps.Keys(signed)) {
		old, stood := before[list]
		f := imaged.Found{List: list, Contents: dir[list], By: signed[list], Stood: stood && slices.Equal(old, dir[list]), Certain: certain, Unknown: r.meddled || r.stale}
		objection := func(m *Model) string {
			if _, wanted := m.Directory()[list]; !wanted {
				return "" // it was replaced, and stays as it is
			}
			return r.image.Objection(m.builder, f)
		}
		rule := objection(r.models[0])
		if err := r.expect(func(m *Model) bool { return objection(m) == "" }, cmp.Or(rule, "%s"), list); err != nil {
			return err
		}
	}
	r.image.Signed = signed
	return nil
}
