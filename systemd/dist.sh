#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# systemd/dist.sh [OUT]: what a release consists of, from what is committed, in OUT
# (bin/dist): the sources, the programs of this architecture, an SBOM (CycloneDX) of
# each program, and SHA256SUMS. The programs are built twice, in directories and with
# caches of their own, and must be equal. The rpm plugin is not among them: it is built
# against the librpm of each distribution.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1-bin/dist}")
git() { command git -c safe.directory="$PWD" "$@"; }

[ -z "$(git status --porcelain --untracked-files=no)" ] || {
	echo "dist: commit first, for these are changed: $(git status --porcelain --untracked-files=no | cut -c4- | tr '\n' ' ')" >&2
	exit 1
}

version=$(systemd/version.sh)
name=digestd-$version
date=$(git log -1 --format=%ct)
arch=$(go env GOARCH)
top=$(mktemp -d)
trap 'chmod -R u+w "$top"; rm -rf "$top"' EXIT

# pack NAME DIR: an archive of DIR/NAME in which nothing tells of this machine.
pack() {
	tar -C "$2" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --mtime="@$date" -cf - "$1" | gzip -9n
}

git archive --format=tar --prefix="$name/" HEAD | tar -C "$top" -xf -
rm -rf "$out"
mkdir -p "$out"
pack "$name" "$top" >"$out/$name.tar.gz"

for n in 1 2; do
	place=$top/build-$n/$(printf 'x%.0s' $(seq "$n"))
	mkdir -p "$place"
	cp -a "$top/$name/." "$place"
	log=$top/log
	GOCACHE=$top/cache-$n make -C "$place" programs VERSION="$version" >"$log" 2>&1 </dev/null || {
		tail -n 40 "$log" >&2
		exit 1
	}
	rm "$place/bin/digestd.so"
	mv "$place/bin" "$top/bin-$n"
	rm -rf "$top/build-$n" "$top/cache-$n"
done
diff -r "$top/bin-1" "$top/bin-2" >&2 || {
	echo "dist: two builds of the same commit differ, see above" >&2
	exit 1
}

programs=$name-linux-$arch
mkdir -p "$top/$programs"
mv "$top/bin-1" "$top/$programs/bin"
cp -r LICENSE README.md CHANGELOG.md docs/man "$top/$programs"
pack "$programs" "$top" >"$out/$programs.tar.gz"

go build -C integration/tools/release -trimpath -buildvcs=false -o "$top/tools/" tool
for program in "$top/$programs"/bin/*; do
	"$top/tools/cyclonedx-gomod" bin -json -noserial -notimestamp -std -version "$version" \
		-output "$out/$programs-$(basename "$program").cdx.json" "$program" 2>"$log" || {
		cat "$log" >&2
		exit 1
	}
done
(cd "$out" && sha256sum -- * >"$top/sums" && mv "$top/sums" SHA256SUMS && cat SHA256SUMS)
