// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"fmt"
	"strconv"
	"strings"
)

// ParsePackage reads what a test says of a package in words: its name as rpm writes it,
// "name-[epoch:]version-release.arch", then /path=content for each file, and
// provides=NAME, obsoletes=NAME, post=SCRIPT and key=OWNER, which is returned as it is:
// "vendor" where no word says it. Without a file, the package has a program of its name.
func ParsePackage(words ...string) (p Package, owner string, err error) {
	rest, arch, ok := cutLast(words[0], ".")
	rest, release, ok1 := cutLast(rest, "-")
	name, version, ok2 := cutLast(rest, "-")
	if epoch, v, has := strings.Cut(version, ":"); has {
		n, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil {
			return p, "", fmt.Errorf("%q is no epoch: %w", epoch, err)
		}
		p.Epoch, version = uint32(n), v
	}
	if !ok || !ok1 || !ok2 {
		return p, "", fmt.Errorf("%q is no package", words[0])
	}
	p.Name, p.Version, p.Release, p.Arch, p.Files, owner = name, version, release, arch, map[string]string{}, "vendor"
	for _, w := range words[1:] {
		option, value, _ := strings.Cut(w, "=")
		switch {
		case option == "key":
			owner = value
		case option == "provides":
			p.Provides = append(p.Provides, value)
		case option == "obsoletes":
			p.Obsoletes = append(p.Obsoletes, value)
		case option == "post":
			p.Post = value
		case strings.HasPrefix(option, "/"):
			p.Files[option] = value
		default:
			return p, "", fmt.Errorf("unknown option %q", w)
		}
	}
	if len(p.Files) == 0 {
		p.Files["/usr/bin/"+name] = "#!/bin/sh\necho " + words[0] + "\n"
	}
	return p, owner, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
