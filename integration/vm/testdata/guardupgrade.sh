# SPDX-License-Identifier: Apache-2.0
# The C library, the shell, rpm, systemd and digestd are upgraded under the guard. Dependencies do
# not count: Debian's own packages are not rpm's.
. /test/guard.sh

# upgraded RELEASE: what runs now is of that release.
upgraded() {
	local file
	for file in /usr/bin/bash /usr/bin/rpm /usr/lib/systemd/systemd /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/sbin/digestd-guard; do
		[ "$(tail -c 2 "$file" | tr -d '\0')" = "$1" ] || { echo "$file is not of release $1"; return 1; }
	done
}
again() { timeout 100 systemctl daemon-reexec && timeout 100 systemctl show -P Version; }

check "the first process takes its own place" again
check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm imports the builder's key" rpm --import /test/upgrades/2/key.asc
echo 'guard = "audit"' >/etc/digestd/digestd.conf.d/guard.conf
check "digestd takes the setting over" systemctl restart digestd
check "the guard starts" systemctl enable --now digestd-guard
soon "it agrees with digestd" agrees
check "the first process takes its own place, audited" again
check "rpm upgrades, audited" rpm -U --nodeps /test/upgrades/2/*.rpm
check "all of it" upgraded 2
check "the first process goes on" again
check "what the machine has is listed" list_machine
cp /usr/bin/true /usr/local/bin/unlisted
echo unlisted >>/usr/local/bin/unlisted
echo 'guard = "enforce"' >/etc/digestd/digestd.conf.d/guard.conf
check "the guard is to enforce" systemctl restart digestd-guard
soon "it agrees" agrees
soon "it enforces once that was checked" enforces
check "what no list holds is refused" refused /usr/local/bin/unlisted
check "the first process takes its own place, enforced" again
rm -f /var/tmp/bash-post /var/tmp/rpm-post
check "rpm upgrades, enforced" rpm -U --nodeps /test/upgrades/3/*.rpm
check "all of that, too" upgraded 3
check "scriptlets ran programs of their own packages" test -s /var/tmp/bash-post -a -s /var/tmp/rpm-post
check "the first process goes on, enforced" again
soon "the guard agrees after its own upgrade" settled
check "it enforces after it" enforces
check "what no list holds is refused after it" refused /usr/local/bin/unlisted
check "a new shell runs" bash -c 'echo $((1 + 1))'
none "nothing else was refused"

soon "a snapshot is kept" kept
end
