# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# All that the machine runs is listed, and the guard enforces it; the machine goes off so.
. /test/guard.sh

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "what the machine has is listed" list_machine
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
cp /usr/bin/true /usr/local/bin/unlisted
echo unlisted >>/usr/local/bin/unlisted
echo 'guard = "enforce"' >/etc/digestd/digestd.conf.d/guard.conf
check "digestd takes the setting over" systemctl restart digestd
check "the guard starts" systemctl enable --now digestd-guard
soon "it agrees with digestd" agrees
check "it would refuse nothing that is needed" digestctl guard check
soon "it enforces" enforces
check "what no list holds is refused" refused /usr/local/bin/unlisted
check "what a list holds runs" /usr/bin/hello
says 'failed to map segment' "the dynamic linker runs it neither" /lib64/ld-linux-x86-64.so.2 /usr/local/bin/unlisted
says 'cannot be preloaded \(failed to map segment' "nor is it preloaded" env LD_PRELOAD=/usr/local/bin/unlisted /usr/bin/true
echo 'echo read' >/var/tmp/read
same "what an interpreter reads is out of its reach" "read" "$(sh /var/tmp/read)"
for needed in "rpm -q hello" "dnf --version" "python3 -c 1" "systemctl daemon-reload" "systemctl restart systemd-journald"; do
	# shellcheck disable=SC2086
	check "$needed does what it does" $needed
done
soon "the journal names both ways out" logged "digestctl guard off.*digestd.guard=off" -u digestd-guard
check "digestd, which was there before it, leaves no doubt" sh -c '! digestctl status | grep -q guard-doubt'
soon "a snapshot is kept" kept
none "nothing else was refused"
end
