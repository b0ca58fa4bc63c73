# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The guard as systemd runs it, confined, on a kernel as it is shipped.
. /test/lib.sh

same "the guard is off by default" "inactive" "$(systemctl is-active digestd-guard)"
check "it starts" systemctl start digestd-guard
same "configured off, it ends at once" "inactive" "$(systemctl is-active digestd-guard)"
same "and has loaded nothing" "" "$(ls /sys/fs/bpf)"

echo 'guard = "audit"' >/etc/digestd/digestd.conf.d/guard.conf
check "configured audit, it starts" systemctl start digestd-guard
says 'mode audit' "it audits" digestctl guard status
ends 3 "nothing is listed that runs" digestctl guard check
says 'runs as systemd \(PID 1\)' "the check names the first process" digestctl guard check
says 'rpm needs it|/usr/bin/rpm: ' "and what rpm needs" digestctl guard check

cp /usr/bin/true /usr/local/bin/unlisted
check "audit lets everything run" /usr/local/bin/unlisted
soon "and tells of it" sh -c 'digestctl guard denials | grep -A3 "^/usr/local/bin/unlisted: exec allowed, no list includes it"'
soon "the journal names the way out" logged "digestd.guard=off" -u digestd-guard
ends 3 "enforce finds what would be refused" digestctl guard enforce
ends 1 "what was not compared is not enforced" digestctl guard enforce --force --reason test
same "CAP_BPF and CAP_PERFMON, no more" "000000c000000000" "$(sed -n 's/^CapBnd:\s*//p' /proc/"$(systemctl show -P MainPID digestd-guard)"/status)"

# digestd tells it of its lists.
digests() { digestctl guard status | sed -n 's/^ *digests *\([0-9]*\), of the index.s commit.*/\1/p'; }
check "digestd is enabled" systemctl enable --now digestd
check "digestd takes the setting over" systemctl restart digestd
soon "the guard agrees with digestd" sh -c "digestctl guard status | grep -E 'digests +[1-9][0-9]*, of the index.s commit [1-9]'"
before=$(digests)
check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
check "the guard knows what came" [ "$(digests)" -gt "$before" ]
check "it runs" /usr/bin/hello
check "rpm upgrades" rpm -U /test/packages/hello-2.0-1.noarch.rpm
check "it runs still" /usr/bin/hello
soon "the guard has told of all that ran" sh -c 'digestctl guard denials | grep "^/usr/local/bin/unlisted"'
same "no scriptlet and nobody else ran it unlisted" "" "$(digestctl guard denials | grep '^/usr/bin/hello')"
check "a denial takes it out" digestctl deny hello --reason test
check "it runs, audited" /usr/bin/hello
soon "and is told of" sh -c 'digestctl guard denials | grep "^/usr/bin/hello"'
check "rpm removes" rpm -e hello
same "the guard forgets what went" "$before" "$(digests)"
check "digestd is well" digestctl status

check "it is killed" systemctl kill -s KILL digestd-guard
soon "and started again" sh -c 'digestctl guard status'
check "it stops" systemctl stop digestd-guard
says 'set-' "the programs stay" ls /sys/fs/bpf/digestd
check "off works without it" digestctl guard off
same "and takes them out" "maps" "$(ls /sys/fs/bpf/digestd)"
ends 6 "nobody answers then" digestctl guard status
check "digestd-guard -off removes the rest" digestd-guard -off
same "nothing is left" "" "$(ls /sys/fs/bpf)"
fact "$(systemctl show -P ActiveState digestd)" digestd
end
