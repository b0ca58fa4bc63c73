#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Gets the kernels of Debian 12, 13 and 14 for machines without a disk, as their
# packages have them, and the modules that the tests need. They go to
# ${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}/kernels and are got once; a change of
# this script gets them anew. Needs root and the Debian archive that apt uses, or that
# DIGESTD_TEST_MIRROR names.
set -euo pipefail

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
kernels=$cache/kernels
suites='bookworm trixie forky'
modules='overlay'

mkdir -p "$cache"
exec 9>"$cache/kernels.lock"
flock 9
stamp=$(sha256sum <"$0" | cut -d' ' -f1)
if [ "$(cat "$kernels/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

mirror=${DIGESTD_TEST_MIRROR-}
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
	awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
	echo "kernels: apt knows no Debian mirror; run apt-get update" >&2
	exit 1
fi

part=$kernels.part
rm -rf "$part"
mkdir -p "$part"

# An apt of its own for each release, which sees no other and installs nothing.
apt() {
	local tool=$1
	shift
	"$tool" -q -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" \
		-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

for suite in $suites; do
	state=$part/$suite.apt tree=$part/$suite.tree
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/debs" "$tree" "$part/$suite"
	: >"$state/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$state/sources.list"
	apt apt-get update >"$state/log" 2>&1 || { tail -n 20 "$state/log" >&2 && exit 1; }
	image=$(apt apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	# From forky on the kernel and its modules are in packages of their own.
	parts=$(apt apt-cache depends "$image" | sed -nE 's/.*Depends: (linux-(binary|modules)-[0-9].*)/\1/p')
	(cd "$state/debs" && apt apt-get download "$image" $parts >"$state/log" 2>&1) || { tail -n 20 "$state/log" >&2 && exit 1; }
	for deb in "$state"/debs/*.deb; do
		dpkg-deb -x "$deb" "$tree"
	done
	find "$tree" -name 'vmlinuz*' -exec cp {} "$part/$suite/vmlinuz" \;
	for module in $modules; do
		find "$tree" -name "$module.ko" -exec cp {} "$part/$suite/" \;
		find "$tree" -name "$module.ko.xz" -exec sh -c 'xz -dc "$1" >"$2"' unpack {} "$part/$suite/$module.ko" \;
	done
	[ -s "$part/$suite/vmlinuz" ] && [ -s "$part/$suite/overlay.ko" ] || {
		echo "kernels: $image of $suite has no kernel or lacks a module" >&2
		exit 1
	}
	rm -rf "$state" "$tree"
done
echo "$stamp" >"$part/stamp"
rm -rf "$kernels"
mv "$part" "$kernels"
