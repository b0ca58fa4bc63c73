#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a tree of what podman needs and the guest of prepare.sh has not, from the packages
# of the same release. It goes to ${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}/podman and
# is made once; a change of this script makes it anew. Needs what prepare.sh made, root, and
# the same package sources.
set -euo pipefail

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
podman=$cache/podman
root=$cache/vm/root
suite=trixie

exec 9>"$cache/podman.lock"
flock 9
stamp=$(cat "$0" "$cache/vm/stamp" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$podman/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
	awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
	echo "podman: apt knows no Debian mirror; run apt-get update" >&2
	exit 1
fi

part=$podman.part
rm -rf "$part"
mkdir -p "$part/apt/lists/partial" "$part/apt/cache/archives/partial" "$part/tree"
cp "$root/var/lib/dpkg/status" "$part/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$part/apt/sources.list"
# An apt of its own, which sees what the guest has, and installs nothing.
get() {
	apt-get -q -y -o "Dir::State=$part/apt" -o "Dir::State::status=$part/apt/status" -o "Dir::Cache=$part/apt/cache" \
		-o "Dir::Etc::sourcelist=$part/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Install-Recommends=false "$@" >>"$part/apt/log" 2>&1 || {
		tail -n 20 "$part/apt/log" >&2
		exit 1
	}
}
get update
get install --download-only podman crun
for deb in "$part"/apt/cache/archives/*.deb; do
	dpkg-deb -x "$deb" "$part/tree"
done
rm -rf "$part/apt" "$part"/tree/usr/share/{doc,man,locale,bash-completion,fish,zsh}
# The tree is laid over one in which these are links.
for dir in bin sbin lib; do
	if [ -d "$part/tree/$dir" ]; then
		cp -a "$part/tree/$dir/." "$part/tree/usr/$dir/"
		rm -rf "${part:?}/tree/$dir"
	fi
done
echo "$stamp" >"$part/stamp"
rm -rf "$podman"
mv "$part" "$podman"
