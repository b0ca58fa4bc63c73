// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
)

func TestRelocationsPath(t *testing.T) {
	r := header.Relocations{{[]byte("/opt/tool/etc"), []byte("/etc/tool")}, {[]byte("/opt/tool"), []byte("/srv")}, {[]byte("/opt/x"), nil}}
	for path, want := range map[string]string{
		"/opt/tool/bin/a": "/srv/bin/a", "/opt/tool": "/srv", "/opt/toolbox/a": "/opt/toolbox/a", "/opt/tool/etc/c": "/etc/tool/c",
		"/opt/x/a": "/a", "/usr/bin/a": "/usr/bin/a", "": "",
	} {
		if got := r.Path(path); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
	if got := (header.Relocations{{nil, []byte("/chroot")}}).Path("/usr/bin/a"); got != "/chroot/usr/bin/a" {
		t.Errorf("below another root it is at %s", got)
	}
}

// placesOf are the arrays of a header that say where files are.
func placesOf(paths []string) []record {
	var dirs, bases []string
	var indexes []uint32
	for i, p := range paths {
		cut := strings.LastIndexByte(p, '/') + 1
		dirs, bases, indexes = append(dirs, p[:cut]), append(bases, p[cut:]), append(indexes, uint32(i))
	}
	return []record{u32s(header.TagDirIndexes, indexes...), texts(header.TagBaseNames, bases...), texts(header.TagDirNames, dirs...)}
}

// installed is the header of a package that rpm installed at other paths; nil for
// where the package has them.
func installed(t *testing.T, signed, placed []string) *header.Header {
	t.Helper()
	n := len(signed)
	records := append([]record{
		u16s(header.TagFileModes, make([]uint16, n)...), texts(header.TagFileDigests, make([]string, n)...), u32s(header.TagFileFlags, make([]uint32, n)...),
	}, placesOf(signed)...)
	var unsigned []record
	if placed != nil {
		unsigned = placesOf(placed)
	}
	return mustParse(t, build(header.TagHeaderImmutable, records, unsigned))
}

// Each file is found at its place, however rpm changed the paths.
func TestRelocations(t *testing.T) {
	signed := []string{"/opt/tool/bin/a", "/opt/tool/bin/b", "/opt/tool/etc/c", "/opt/toolbox/d", "/usr/share/e"}
	for name, tc := range map[string]struct {
		placed []string
		most   int // rules
	}{
		"nowhere else":    {nil, 0},
		"said, but there": {signed, 0},
		"a prefix":        {[]string{"/srv/bin/a", "/srv/bin/b", "/srv/etc/c", "/opt/toolbox/d", "/usr/share/e"}, 1},
		"a part of it":    {[]string{"/srv/bin/a", "/srv/bin/b", "/opt/tool/etc/c", "/opt/toolbox/d", "/usr/share/e"}, 3},
		"two prefixes":    {[]string{"/srv/bin/a", "/srv/bin/b", "/srv/etc/c", "/opt/toolbox/d", "/new/e"}, 2},
		"another root":    {[]string{"/x/opt/tool/bin/a", "/x/opt/tool/bin/b", "/x/opt/tool/etc/c", "/x/opt/toolbox/d", "/x/usr/share/e"}, 1},
		"other names":     {[]string{"/opt/tool/bin/b", "/opt/tool/bin/a", "/q", "/w/d", "/usr/share/e"}, 5},
		"one directory":   {[]string{"/all/a", "/all/b", "/all/c", "/all/d", "/all/e"}, 5},
	} {
		moved, err := installed(t, signed, tc.placed).Relocations()
		if err != nil || len(moved) > tc.most {
			t.Errorf("%s: %d rules, %v", name, len(moved), err)
		}
		for i, want := range tc.placed {
			if got := moved.Path(signed[i]); got != want {
				t.Errorf("%s: %s is at %s, want %s", name, signed[i], got, want)
			}
		}
	}
	var many, elsewhere []string
	for i := range 1500 {
		many, elsewhere = append(many, fmt.Sprintf("/usr/bin/%d", i)), append(elsewhere, fmt.Sprintf("/usr/bin/x%d", i))
	}
	if moved, err := installed(t, many, elsewhere).Relocations(); err == nil {
		t.Errorf("%d rules from one header", len(moved))
	}
	if _, err := installed(t, signed, signed[:2]).Relocations(); err == nil {
		t.Error("places for two files of five")
	}
}
