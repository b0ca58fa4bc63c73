// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"crypto/sha256"
	"testing"

	"github.com/digestd/digestd/digestlist"
)

// OwnBody is the body of an own list that has these contents, each as the file /opt/CONTENT.
func OwnBody(t testing.TB, contents ...string) []byte {
	t.Helper()
	g := digestlist.Group{Algo: digestlist.SHA256}
	for _, content := range contents {
		sum := sha256.Sum256([]byte(content))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: "/opt/" + content})
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{g})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
