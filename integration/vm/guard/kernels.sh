#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Gets the kernels of Debian 12, 13 and 14 for machines without a disk, as their
# packages have them, and the modules that the tests need, with those that they need, in
# order, in NAME.order; and makes images of file systems. They go to
# ${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}/kernels and are got once; a change of
# this script gets them anew. Needs root and the Debian archive that apt uses, or that
# DIGESTD_TEST_MIRROR names.
set -euo pipefail

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
kernels=$cache/kernels
suites='bookworm trixie forky'
modules='overlay loop squashfs erofs xfs btrfs virtio_pci virtio_blk ext4 ecdsa_generic'

mkdir -p "$cache"
exec 9>"$cache/kernels.lock"
flock 9
stamp=$(sha256sum <"$0" | cut -d' ' -f1)
if [ "$(cat "$kernels/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

needed=()
command -v modprobe >/dev/null || needed+=(kmod)
command -v mkfs.xfs >/dev/null || needed+=(xfsprogs)
command -v mkfs.btrfs >/dev/null || needed+=(btrfs-progs)
command -v mksquashfs >/dev/null || needed+=(squashfs-tools)
command -v mkfs.erofs >/dev/null || needed+=(erofs-utils)
if [ ${#needed[@]} != 0 ]; then
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null
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
	[ -e "$tree/lib" ] || ln -s usr/lib "$tree/lib"
	release=$(basename "$tree"/lib/modules/*)
	depmod -b "$tree" "$release"
	for module in $modules; do
		# What the kernel has built in is not listed.
		{ modprobe -S "$release" -d "$tree" --show-depends "$module" 2>/dev/null || :; } | awk '$1 == "insmod" { print $2 }' | while read -r file; do
			name=$(basename "$file" .xz)
			case $file in
			*.xz) xz -dc "$file" >"$part/$suite/$name" ;;
			*) cp "$file" "$part/$suite/$name" ;;
			esac
			echo "$name" >>"$part/$suite/$module.order"
		done
	done
	[ -s "$part/$suite/vmlinuz" ] && [ -s "$part/$suite/overlay.ko" ] || {
		echo "kernels: $image of $suite has no kernel or lacks a module" >&2
		exit 1
	}
	rm -rf "$state" "$tree"
done
# Without content but for those that cannot be written.
mkdir "$part/images" "$part/squashfs" "$part/erofs"
for kind in squashfs erofs; do
	printf '#!/init\n# on %s\n' "$kind" >"$part/$kind/tool"
	chmod 0755 "$part/$kind/tool"
done
mksquashfs "$part/squashfs" "$part/images/squashfs" -all-root -quiet -no-progress >/dev/null
mkfs.erofs --quiet --all-root "$part/images/erofs" "$part/erofs" >/dev/null
truncate -s 16M "$part/images/ext4" "$part/images/btrfs"
truncate -s 300M "$part/images/xfs"
mke2fs -q -t ext4 "$part/images/ext4"
mkfs.xfs -q "$part/images/xfs"
mkfs.btrfs -q --mixed "$part/images/btrfs" >/dev/null
gzip "$part/images/"*
rm -r "$part/squashfs" "$part/erofs"
echo "$stamp" >"$part/stamp"
rm -rf "$kernels"
mv "$part" "$kernels"
