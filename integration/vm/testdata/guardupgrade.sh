# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The C library, the shell, rpm, systemd and digestd are upgraded while the guard enforces.
# Dependencies do not count: Debian's own packages are not rpm's.
. /test/guard.sh

# upgraded RELEASE FILE...: these are of that release.
upgraded() {
	local release=$1 file
	shift
	for file; do
		[ "$(tail -c 2 "$file" | tr -d '\0')" = "$release" ] || { echo "$file is not of release $release"; return 1; }
	done
}
# again: the first process takes its own place. It ends for good, frozen, if what it runs then,
# its generators, takes longer than 90 s.
again() {
	local begun=$EPOCHREALTIME
	timeout 200 systemctl daemon-reexec && timeout 200 systemctl show -P Version || return 1
	fact "the first process took its own place within $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000)) ms"
}

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm imports the builder's key" rpm --import /test/upgrades/2/key.asc
echo 'guard = "enforce"' >/etc/digestd/digestd.conf.d/guard.conf
check "digestd takes the setting over" systemctl restart digestd
check "the guard starts" systemctl enable --now digestd-guard
soon "it agrees with digestd" agrees
says 'mode audit' "it audits, for nothing that the machine has is listed" digestctl guard status
soon "a check says so" problem 'files that this machine needs'
check "the first process takes its own place, audited" again
check "what the machine has is listed" list_machine
cp /usr/bin/true /usr/local/bin/unlisted
echo unlisted >>/usr/local/bin/unlisted
soon "it enforces once that was checked" enforces
check "what no list holds is refused" refused /usr/local/bin/unlisted
check "the first process takes its own place, enforced" again
for release in 2 3; do
	rm -f /var/tmp/bash-post /var/tmp/rpm-post
	# Apart: while systemd starts the first process again, the guard's programs are not loaded anew.
	check "rpm upgrades the machine to $release" rpm -U --nodeps /test/upgrades/$release/{glibc,bash,rpm,systemd}.rpm
	check "all of it is of release $release" upgraded $release /usr/bin/bash /usr/bin/rpm /usr/lib/systemd/systemd /usr/lib/x86_64-linux-gnu/libc.so.6
	check "scriptlets ran programs of packages of release $release" test -s /var/tmp/bash-post -a -s /var/tmp/rpm-post
	check "the first process goes on with release $release" again
	check "rpm upgrades digestd to $release" rpm -U --nodeps /test/upgrades/$release/*digestd*.rpm
	check "it is of release $release" upgraded $release /usr/sbin/digestd-guard /usr/sbin/digestd
	soon "the guard agrees after its own upgrade to $release" settled
	check "it enforces release $release" enforces
	check "what no list holds is refused after release $release" refused /usr/local/bin/unlisted
	check "a new shell runs, of release $release" bash -c 'echo $((1 + 1))'
	none "nothing else was refused up to release $release"
done
soon "a snapshot is kept" kept
end
