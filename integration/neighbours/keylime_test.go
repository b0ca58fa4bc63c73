// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The policy is one by Keylime's schema and has the digests of active lists, by
// the paths that the kernel's measurements have, and no superseded ones.
func TestKeylime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	m := newMachine(t, fmt.Sprintf("keylime = %q", file))
	// As on a merged /usr.
	m.OK(os.MkdirAll(m.Path("/usr/bin"), 0o755))
	m.OK(os.Symlink("usr/bin", m.Path("/bin")))
	m.Start()
	wants := func(after string, want map[string][]string) {
		t.Helper()
		m.Soon(after, func() error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			var policy struct{ Digests map[string][]string }
			if err := json.Unmarshal(data, &policy); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, policy.Digests); diff != "" {
				return fmt.Errorf("%s", diff)
			}
			return nil
		})
		out, err := exec.Command("python3", "-c", validate, "testdata/runtime-policy.schema.json", file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", after, err, out)
		}
	}
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	wants("started", map[string][]string{})
	m.RPM("-i",
		m.build("tool", "1", map[string]string{"/bin/tool": "one", `/usr/share/"quoted" <name>`: "quoted", "/usr/bin/both": "same"}),
		m.build("other", "1", map[string]string{"/usr/bin/both": "same", "/usr/share/\xff": "left out"}))
	wants("installed", map[string][]string{"/usr/bin/tool": {sum("one")}, `/usr/share/"quoted" <name>`: {sum("quoted")}, "/usr/bin/both": {sum("same")}})
	m.RPM("-U", m.build("tool", "2", map[string]string{"/bin/tool": "two", "/usr/bin/both": "same"}))
	wants("upgraded", map[string][]string{"/usr/bin/tool": {sum("two")}, "/usr/bin/both": {sum("same")}})
	m.Must("keys", "revoke", vendor.Fingerprint(), "--reason", "stolen")
	wants("the key revoked", map[string][]string{})
}

const validate = `
import json, sys, jsonschema
schema, policy = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(policy, schema)
`
