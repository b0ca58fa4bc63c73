// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// archs may follow the last dot of "name.arch" if no package of that whole name is known: many
// names contain dots.
var archs = []string{"noarch", "x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "amd64", "ia32e", "i386", "i486", "i586", "i686", "athlon",
	"aarch64", "armv6hl", "armv7hl", "armv7l", "ppc", "ppc64", "ppc64le", "s390", "s390x", "riscv64", "loongarch64", "sparcv9", "sparc64", "mips64el"}

// KnownArch reports whether arch is an architecture of rpm packages.
func KnownArch(arch string) bool { return slices.Contains(archs, arch) }

// SameFamily reports whether rpm replaces a package of architecture a by one of the same name
// and architecture b, as with i586 and i686. noarch is in every family.
func SameFamily(a, b string) bool {
	return a == b || a == "noarch" || b == "noarch" || family(a) == family(b)
}

// family returns the group of architectures that run the same programs (rpm: rpmrc,
// arch_compat).
func family(arch string) string {
	switch {
	case arch == "amd64", arch == "ia32e", strings.HasPrefix(arch, "x86_64"):
		return "x86_64"
	case len(arch) == 4 && arch[0] == 'i' && strings.HasSuffix(arch, "86"), arch == "athlon", arch == "geode", strings.HasPrefix(arch, "pentium"):
		return "x86"
	case strings.HasPrefix(arch, "armv"):
		return "arm"
	case strings.HasPrefix(arch, "ppc64le"):
		return "ppc64le"
	case strings.HasPrefix(arch, "ppc64"):
		return "ppc64"
	case strings.HasPrefix(arch, "ppc"):
		return "ppc"
	case strings.HasPrefix(arch, "sparc64"):
		return "sparc64"
	case strings.HasPrefix(arch, "sparc"):
		return "sparc"
	case strings.HasPrefix(arch, "alpha"):
		return "alpha"
	}
	return arch
}
