// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"crypto"
	_ "crypto/sha256" // of which crypto.Hash makes one
	_ "crypto/sha512"
	"maps"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
)

// Body is the body of a list of files, by their path and content.
func Body(t testing.TB, algo digestlist.Algo, files map[string]string) []byte {
	t.Helper()
	g := digestlist.Group{Algo: algo}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum(t, algo, files[path]), Path: path})
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{g})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Upload sends a list by root, in one piece, and returns the number of the upload.
func (m *Machine) Upload(t testing.TB, list []byte) uint64 {
	t.Helper()
	id, err := m.OwnAppend(t.Context(), Root, 0, list)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Own makes or changes an own list: base is the version that is there, 0 if it is new.
func (m *Machine) Own(t testing.TB, name string, base uint64, body []byte) api.OwnResult {
	t.Helper()
	r, err := m.OwnPublish(t.Context(), Root, api.OwnRequest{Name: name, Base: base, Upload: m.Upload(t, body)}, Quiet)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// OwnBody is the body of an own list that has these contents, each as the file /opt/CONTENT.
func OwnBody(t testing.TB, contents ...string) []byte {
	t.Helper()
	files := map[string]string{}
	for _, content := range contents {
		files["/opt/"+content] = content
	}
	return Body(t, digestlist.SHA256, files)
}

func sum(t testing.TB, algo digestlist.Algo, content string) []byte {
	t.Helper()
	h, known := map[digestlist.Algo]crypto.Hash{digestlist.SHA256: crypto.SHA256, digestlist.SHA384: crypto.SHA384, digestlist.SHA512: crypto.SHA512}[algo]
	if !known {
		t.Fatalf("no digests by %s are made here", algo)
	}
	w := h.New()
	w.Write([]byte(content))
	return w.Sum(nil)
}
