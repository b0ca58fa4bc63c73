# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The guard enforces from the start of the machine on, until its power fails in the middle
# of a transaction.
. /test/guard.sh

at() { systemctl show -P "$2" "$1"; }
check "the guard was there before sysinit" test "$(at digestd-guard ActiveEnterTimestampMonotonic)" -le "$(at sysinit.target ActiveEnterTimestampMonotonic)"
check "and before digestd" test "$(at digestd-guard ActiveEnterTimestampMonotonic)" -le "$(at digestd InactiveExitTimestampMonotonic)"
fact "the guard was there $(($(at digestd-guard ActiveEnterTimestampMonotonic) / 1000)) ms after the kernel, $((($(at digestd-guard ActiveEnterTimestampMonotonic) - $(at digestd-guard InactiveExitTimestampMonotonic)) / 1000)) ms after it was started"
soon "with its snapshot it enforced" logged 'mode=enforce wanted=enforce why="" digests=[1-9][0-9]* commit=[1-9]' -u digestd-guard
check "there is no doubt" sh -c '! digestctl status | grep -q guard-doubt'
check "what no list holds is refused" refused /usr/local/bin/unlisted
check "what a list holds runs" /usr/bin/hello
cat >/run/systemd/system/unlisted.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/local/bin/unlisted
END
systemctl start unlisted 2>/dev/null
same "systemd cannot start it either" "203" "$(at unlisted ExecMainStatus)"
none "nothing else was refused since the start"
fact "from the start to here:$(digestctl guard status | grep 'hashed a file')"

# killed DELAY: digestd dies in the middle of a withdrawal.
killed() {
	digestctl deny hello --reason test >/dev/null 2>&1 &
	sleep "$1"
	systemctl kill -s KILL digestd
	wait $!
	soon "killed after $1 s, digestd is back" settled
	if digestctl deny list | grep -q hello; then
		check "killed after $1 s, hello is withdrawn before that is said" refused /usr/bin/hello
		check "its denial is lifted" digestctl deny lift hello --reason test
	fi
	soon "hello runs, killed after $1 s" /usr/bin/hello
}
for delay in 0.02 0.1 0.3; do killed "$delay"; done
check "rpm removes hello" rpm -e hello
check "the guard is upgraded" systemctl restart digestd-guard
soon "it agrees" agrees
soon "it enforces" enforces
soon "a snapshot is kept" kept
sync
check "rpm installs many" rpm -U /test/packages/bulk*-1.0-1.noarch.rpm
end
