// SPDX-License-Identifier: Apache-2.0

package daemon

// packageHas reports whether an active list of a package has that path with that
// content.
func (s *snapshot) packageHas(digest, p []byte) bool {
	ref, content := pathRef(p), digestRef(digest)
	for e := range s.lookup.withPath(ref) {
		if e.Own == "" && e.active() && e.refs.hasPath(ref) && e.refs.hasDigest(content) {
			return true
		}
	}
	return false
}

// heir returns another active list that has the path, best with that content.
func (s *snapshot) heir(not string, digest, p []byte) (name string) {
	ref, content := pathRef(p), digestRef(digest)
	for e := range s.lookup.withPath(ref) {
		if e.Name == not || !e.active() || !e.refs.hasPath(ref) {
			continue
		}
		if e.refs.hasDigest(content) {
			return e.Name
		}
		name = e.Name
	}
	return name
}
