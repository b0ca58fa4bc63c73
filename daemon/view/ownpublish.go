// SPDX-License-Identifier: Apache-2.0

package view

// PackageHas reports whether an active list of a package has that path with that
// content.
func (s *Snapshot) PackageHas(digest, p []byte) bool {
	ref, content := PathRef(p), DigestRef(digest)
	for e := range s.Lookup.WithPath(ref) {
		if e.Own == "" && e.Active() && e.Refs.HasPath(ref) && e.Refs.HasDigest(content) {
			return true
		}
	}
	return false
}

// Heir returns another active list that has the path, best with that content.
func (s *Snapshot) Heir(not string, digest, p []byte) (name string) {
	ref, content := PathRef(p), DigestRef(digest)
	for e := range s.Lookup.WithPath(ref) {
		if e.Name == not || !e.Active() || !e.Refs.HasPath(ref) {
			continue
		}
		if e.Refs.HasDigest(content) {
			return e.Name
		}
		name = e.Name
	}
	return name
}
