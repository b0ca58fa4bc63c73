// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/digestlist"
)

// publish makes an own list of what was hashed before, as digestctl does when it is
// done: what is at the paths may have been exchanged since.
func (m *machine) publish(name string, contents map[string]string) {
	m.Helper()
	var entries []digestlist.Entry
	for path, content := range contents {
		sum := sha256.Sum256([]byte(content))
		entries = append(entries, digestlist.Entry{Digest: sum[:], Path: path})
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: entries}})
	m.OK(err)
	o := m.connect()
	const method = "org.digestd1.Manager."
	var id uint64
	m.OK(o.Call(method+"OwnAppend", 0, uint64(0), base64.StdEncoding.EncodeToString(body)).Store(&id))
	m.OK(o.Call(method+"OwnPublish", 0, id, name, uint64(0), [][]byte{}, false, false, "").Err)
}

// A user exchanges what was hashed: a directory for a link, or a file for another
// name of a package's file. That binds no file of a package to the user's list.
func TestFilesExchangedSinceTheyWereHashed(t *testing.T) {
	m := start(t)
	vendor := m.vendor()
	m.RPM("-U", m.pkg(vendor, "hello", "1", map[string]string{"/usr/bin/hello": "hello", "/usr/bin/other": "other"}))
	m.WantLists("tlv-hello-0:1-1.noarch")
	m.Write("/home/u/real/tool", "mine")
	m.Write("/home/u/changed/tool", "theirs")
	m.OK(os.Symlink("/usr/bin", m.Path("/home/u/bin")))
	m.OK(os.Symlink("real", m.Path("/home/u/alias")))
	m.OK(os.Link(m.Path("/usr/bin/other"), filepath.Join(m.Path("/home/u/changed"), "other")))
	m.publish("tools", map[string]string{
		"/home/u/bin/hello":     "mine",  // a link on the way, and another content
		"/home/u/bin/other":     "other", // a link on the way
		"/home/u/changed/other": "mine",  // another content, of a file with two names
		"/home/u/changed/tool":  "mine",
		"/home/u/alias/tool":    "mine",
		"/home/u/real/tool":     "mine",
	})
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-own-tools")
	m.Until("the file behind the link is bound", func() bool { return m.Label("/home/u/real/tool") == "tlv-own-tools" })
	unchanged := func(after string) {
		t.Helper()
		for path, want := range map[string]string{"/usr/bin/hello": "tlv-hello-0:1-1.noarch", "/usr/bin/other": "tlv-hello-0:1-1.noarch", "/home/u/changed/tool": ""} {
			if got := m.Label(path); got != want {
				t.Errorf("%s: %s is bound to %q, want %q", after, path, got, want)
			}
		}
	}
	unchanged("published")
	// Nor when the labels are written anew, or the list that the files were bound to goes.
	m.Must("sync")
	m.Must("deny", "hello", "--reason", "test")
	for _, path := range []string{"/usr/bin/hello", "/usr/bin/other"} {
		if got := m.Label(path); got == "tlv-own-tools" {
			t.Errorf("%s is bound to the user's list", path)
		}
	}
	m.Must("deny", "lift", "hello", "--reason", "test")
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-own-tools")
	unchanged("the list returned")
}
