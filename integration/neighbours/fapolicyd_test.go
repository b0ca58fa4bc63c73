// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func trusted(path, content string) string {
	return fmt.Sprintf("%s %d %x", path, len(content), sha256.Sum256([]byte(content)))
}

// The file has what active lists have, and fapolicyd itself finds nothing wrong
// with it.
func TestFapolicyd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "digestd")
	m := newMachine(t, fmt.Sprintf("fapolicyd = %q", file))
	m.Start()
	wants := func(after string, want ...string) {
		t.Helper()
		m.Soon(after, func() error {
			data, err := os.ReadFile(file)
			got := lines(data)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				return fmt.Errorf("%v %s", err, diff)
			}
			return nil
		})
	}
	m.RPM("-i",
		m.build("tool", "1", map[string]string{"/opt/tool": "one", "/usr/share/tool/with blank": "left out", "/usr/share/tool/new\nline": "left out"}),
		m.build("other", "1", map[string]string{"/opt/other": "other"}))
	wants("installed", trusted("/opt/other", "other"), trusted("/opt/tool", "one"))
	m.RPM("-U", m.build("tool", "2", map[string]string{"/opt/tool": "two"}))
	wants("upgraded", trusted("/opt/other", "other"), trusted("/opt/tool", "two"))
	m.RPM("-e", "other")
	wants("removed", trusted("/opt/tool", "two"))

	// fapolicyd looks at paths from the root: it gets one that is the package's.
	script := filepath.Join(t.TempDir(), "judge")
	m.OK(os.WriteFile(script, []byte(judge), 0o755))
	out, err := exec.Command("unshare", "--mount", "bash", script, file, m.Root.Dir).CombinedOutput()
	if err != nil {
		t.Fatalf("fapolicyd: %v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{"filedb " + trusted("/opt/tool", "two"), "No problems found", "after: /opt/tool miscompares"} {
		if !strings.Contains(text, want) {
			t.Errorf("fapolicyd does not say %q:\n%s", want, text)
		}
	}
	m.Must("keys", "revoke", vendor.Fingerprint(), "--reason", "stolen")
	wants("the key revoked")
}

// judge runs fapolicyd in a mount namespace of its own, on a copy of the file, with
// the files where it expects them; it watches no file system that is there.
const judge = `set -e
file=$1 root=$2
work=$(mktemp -d)
mkdir -p "$work"/{etc/trust.d,lib,run} /run/fapolicyd
trap 'kill $daemon 2>/dev/null; wait; rm -rf "$work"' EXIT
cat >"$work/etc/fapolicyd.conf" <<END
permissive = 1
nice_val = 14
q_size = 640
uid = 0
gid = 0
do_stat_report = 0
db_max_size = 50
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = minix
trust = file
integrity = sha256
END
echo 'allow perm=any all : all' >"$work/etc/compiled.rules"
cp "$file" "$work/etc/trust.d/digestd"
for where in etc:/etc/fapolicyd lib:/var/lib/fapolicyd run:/run/fapolicyd; do
	mount --bind "$work/${where%%:*}" "${where#*:}"
done
mount -t tmpfs none /opt
cp -r "$root/opt/." /opt
fapolicyd --debug --permissive >"$work/log" 2>&1 &
daemon=$!
for i in $(seq 600); do
	grep -q 'Starting to listen' "$work/log" && break
	sleep 0.1
done
fapolicyd-cli --dump-db
fapolicyd-cli --check-trustdb
echo altered >/opt/tool
echo after: $(fapolicyd-cli --check-trustdb)
`
