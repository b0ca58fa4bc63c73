#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Gets fapolicyd of Debian 13 with the libraries that it needs, and a policy that allows all, to
# compare its cost with the guard's. They go to ${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}/fapolicyd
# and are got once; a change of this script gets them anew. Needs root and the Debian archive that
# apt uses, or that DIGESTD_TEST_MIRROR names.
set -euo pipefail

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
out=$cache/fapolicyd
suite=trixie

mkdir -p "$cache"
exec 9>"$cache/fapolicyd.lock"
flock 9
stamp=$(sha256sum <"$0" | cut -d' ' -f1)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

mirror=${DIGESTD_TEST_MIRROR-}
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
	awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
	echo "fapolicyd: apt knows no Debian mirror; run apt-get update" >&2
	exit 1
fi

part=$out.part
rm -rf "$part"
state=$part/apt whole=$part/whole tree=$part/tree
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$whole" "$tree"
: >"$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$state/sources.list"
# An apt of its own, which sees nothing of this machine, and installs nothing.
get() {
	apt-get -q -y -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" \
		-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Install-Recommends=false "$@" >>"$state/log" 2>&1 || {
		tail -n 20 "$state/log" >&2
		exit 1
	}
}
get update
get install --download-only fapolicyd
for deb in "$state"/cache/archives/*.deb; do
	dpkg-deb -x "$deb" "$whole"
done
basename "$state"/cache/archives/fapolicyd_*.deb | cut -d_ -f2 >"$part/version"

# What is one file for the loader may be a link for others.
keep() {
	install -D "$(realpath "$whole$1")" "$tree$1"
}
keep /usr/sbin/fapolicyd
chroot "$whole" /usr/lib64/ld-linux-x86-64.so.2 --list /usr/sbin/fapolicyd | grep -o '/[^ ]*' | while read -r file; do
	[ ! -e "$whole$file" ] || keep "$file"
done
keep /usr/lib64/ld-linux-x86-64.so.2
install -D "$tree/usr/lib64/ld-linux-x86-64.so.2" "$tree/lib64/ld-linux-x86-64.so.2"
for file in "$whole"/usr/lib/file/magic.mgc "$whole"/usr/share/misc/magic.mgc; do
	[ ! -f "$file" ] || install -D "$(realpath "$file")" "$tree${file#"$whole"}"
done
mkdir -p "$tree/etc/fapolicyd/trust.d" "$tree/etc/fapolicyd/rules.d" "$tree/usr/share/fapolicyd" "$tree/var/lib/fapolicyd" "$tree/var/log" "$tree/run/fapolicyd"
cp -r "$whole"/usr/share/fapolicyd/. "$tree/usr/share/fapolicyd/"
cat >"$tree/etc/fapolicyd/fapolicyd.conf" <<-END
	permissive = 0
	nice_val = 0
	q_size = 800
	uid = 0
	gid = 0
	do_stat_report = 0
	detailed_report = 0
	db_max_size = 10
	subj_cache_size = 1549
	obj_cache_size = 8191
	watch_fs = tmpfs
	trust = file
	integrity = none
	syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype
	rpm_sha256_only = 0
	allow_filesystem_mark = 0
END
echo 'allow perm=any all : all' >"$tree/etc/fapolicyd/compiled.rules"
echo 'allow perm=any all : all' >"$tree/etc/fapolicyd/rules.d/10-all.rules"
: >"$tree/etc/fapolicyd/fapolicyd.trust"
echo 'root:x:0:0:root:/:/bin/sh' >"$tree/etc/passwd"
echo 'root:x:0:' >"$tree/etc/group"
rm -rf "$state" "$whole"
echo "$stamp" >"$part/stamp"
rm -rf "$out"
mv "$part" "$out"
