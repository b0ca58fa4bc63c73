# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A machine from its first boot: digestd under systemd, and packages.
. /test/lib.sh

since() { systemctl show -P "$2" "$1"; }
main_pid() { since digestd MainPID; }

check "digestd is enabled" systemctl is-enabled digestd digestd.socket
same "its packages are as they were made" "" "$(rpm -V --nodeps digestd rpm-plugin-digestd python3-dnf-plugin-digestd)"
for package in digestd rpm-plugin-digestd python3-dnf-plugin-digestd; do
	check "its own package $package has a list" test -e "/etc/digest_lists/tlv-$(rpm -q --qf '%{name}-0:%{version}-%{release}.%{arch}' "$package")"
done
check "its own program is vouched for" digestctl why /usr/sbin/digestd
check "digestd is active at boot" systemctl is-active digestd
same "systemd knows when it is ready" notify-reload "$(since digestd Type)"
same "no unit failed" "" "$(systemctl --failed --no-legend --plain)"
ready=$(since digestd ActiveEnterTimestampMonotonic)
check "it was ready before the first ordinary service" test "$ready" -le "$(since basic.target ActiveEnterTimestampMonotonic)"
fact "digestd was ready $(((ready - $(since digestd InactiveExitTimestampMonotonic)) / 1000)) ms after it was started, $((ready / 1000000)) s after the kernel"
fact "$(systemd-analyze security --no-pager digestd.service | tail -n 1)"
fact "memory: $(since digestd MemoryCurrent) bytes, peak $(since digestd MemoryPeak)"
soon "digestd answers on the bus" digestctl version
soon "digestd is well" digestctl status

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
same "the list is there" "tlv-hello-0:1.0-1.noarch" "$(lists)"
same "the label names it" "tlv-hello-0:1.0-1.noarch" "$(label /usr/bin/hello)"
check "the file is vouched for" digestctl why /usr/bin/hello
check "the scriptlet ran a program of its own package while that was vouched for" grep -q 0:1.0-1 /var/tmp/hello-label
check "rpm upgrades" rpm -U /test/packages/hello-2.0-1.noarch.rpm
same "the new list replaced the old" "tlv-hello-0:2.0-1.noarch" "$(lists)"
same "the label changed" "tlv-hello-0:2.0-1.noarch" "$(label /usr/bin/hello)"
says "older than|rollback" "rpm refuses the old version and says why" rpm -U --oldpackage /test/packages/hello-1.0-1.noarch.rpm
same "nothing changed" "hello-2.0-1" "$(rpm -q --qf '%{name}-%{version}-%{release}' hello)"
check "dnf has digestd's plugin" python3 -c 'import runpy,dnf.const; runpy.run_path(dnf.const.PLUGINPATH + "/digestd.py")'
says "older than|rollback" "dnf refuses it, too" dnf -y --disablerepo='*' --nogpgcheck downgrade /test/packages/hello-1.0-1.noarch.rpm
same "nothing changed by dnf" "tlv-hello-0:2.0-1.noarch" "$(lists)"
check "the administrator grants it" digestctl rollback grant hello-1.0-1.noarch --reason "2.0 greets too loudly"
check "rpm goes back" rpm -U --oldpackage /test/packages/hello-1.0-1.noarch.rpm
same "the granted list is there" "tlv-hello-0:1.0-1.noarch" "$(lists)"
check "dnf upgrades again" dnf -y --disablerepo='*' install /test/packages/hello-2.0-1.noarch.rpm
same "dnf's list is there" "tlv-hello-0:2.0-1.noarch" "$(lists)"
check "digestd is well after all that" digestctl status

# Another user may look, and change nothing.
check "a user may ask" setpriv --reuid nobody --clear-groups digestctl status
ends 5 "a user may not grant" setpriv --reuid nobody --clear-groups digestctl rollback grant hello-1.0-1.noarch --reason mine
says "healthy" "busctl reads the state" busctl get-property org.digestd1 /org/digestd1 org.digestd1.Manager State
as_nobody() { setpriv --reuid nobody --clear-groups "$@"; }
manager() { busctl call org.digestd1 /org/digestd1 org.digestd1.Manager "$@"; }
says "healthy" "a user reads it with busctl" as_nobody busctl get-property org.digestd1 /org/digestd1 org.digestd1.Manager State
floor=(FloorSet sss hello.noarch 0:1.0-1 "by busctl")
says "polkit does not let you" "polkit refuses a user's call by busctl" as_nobody busctl call org.digestd1 /org/digestd1 org.digestd1.Manager "${floor[@]}"
check "root calls it by busctl" manager "${floor[@]}"
check "and takes it back" manager FloorClear ss hello.noarch "was a try"
cat >/etc/polkit-1/rules.d/40-test.rules <<'END'
polkit.addRule(function(action, subject) {
    if (action.id == "org.digestd1.floor" && subject.user == "nobody")
        return polkit.Result.YES;
});
END
soon "polkit grants it to whom its rules name" as_nobody busctl call org.digestd1 /org/digestd1 org.digestd1.Manager "${floor[@]}"
ends 5 "that, and no other" setpriv --reuid nobody --clear-groups digestctl rollback grant hello-1.0-1.noarch --reason mine
rm /etc/polkit-1/rules.d/40-test.rules

# The audit trail.
journal() { journalctl -b -o json --output-fields=MESSAGE_ID,DIGESTD_NEVRA,DIGESTD_ACTOR_UID,DIGESTD_REASON,DIGESTD_COUNTER,DIGESTD_KEY,DIGESTD_LIST_DIGEST "$@"; }
published() { journal DIGESTD_KIND=published DIGESTD_NEVRA=hello-0:2.0-1.noarch | grep -q '"DIGESTD_COUNTER"'; }
soon "the journal has a record of each list" published
who() { journal DIGESTD_KIND=floor-set | grep -q "\"DIGESTD_ACTOR_UID\":\"$(id -u nobody)\""; }
soon "and of who did what" who
refusal() { journalctl -b -x DIGESTD_KIND=rollback-refused | grep -q -- '^-- '; }
soon "and explains it" refusal
says "hello-0:1.0-1.noarch" "digestctl reads the same" digestctl log --kind rollback-refused
same "labels are what digestctl says" "$(digestctl why --json /usr/bin/hello | python3 -c 'import json,sys; print(json.load(sys.stdin)["why"][0]["label"])')" "$(label /usr/bin/hello)"
listed() { digestctl list active --json | python3 -c 'import json,sys; print("\n".join(sorted(l["name"] for l in json.load(sys.stdin)["lists"])))'; }
same "and so is the directory" "$(ls /etc/digest_lists)" "$(listed)"
systemctl restart systemd-journald
check "with journald started again" rpm -U --replacepkgs /test/packages/hello-2.0-1.noarch.rpm
after() { journal DIGESTD_KIND=floor-cleared | grep -q MESSAGE_ID; }
check "a floor goes" digestctl floor clear hello --reason "was a try, too"
soon "no record is lost" after

# The service manager's verbs.
pid=$(main_pid)
check "reload" systemctl reload digestd
same "reload keeps the process" "$pid" "$(main_pid)"
check "digestd is well after reload" digestctl status
check "restart" systemctl restart digestd
soon "digestd is well after restart" digestctl status
check "stop" systemctl stop digestd.socket digestd
same "stop is no failure" "inactive success" "$(since digestd ActiveState) $(since digestd Result)"
check "rpm installs without digestd" rpm -U /test/packages/bulk000-1.0-1.noarch.rpm
same "without digestd there is no list" "tlv-hello-0:2.0-1.noarch" "$(lists)"
check "start" systemctl start digestd
same "what was missed is made good before it is ready" "$(expected)" "$(lists)"
same "files that rpm wrote without digestd name no list" "" "$(label /usr/share/bulk000/text 2>/dev/null)"
check "they are vouched for all the same" digestctl why /usr/share/bulk000/text

# Confined as it is, it sees what is mounted after its start.
mkdir /usr/share/bulk059
mount -t tmpfs none /usr/share/bulk059
check "rpm installs on a file system mounted later" rpm -U /test/packages/bulk059-1.0-1.noarch.rpm
check "what lies there is vouched for" digestctl why /usr/share/bulk059/text
echo altered >>/usr/share/bulk059/text
ends 3 "until it is altered" digestctl why /usr/share/bulk059/text

# Its death.
pid=$(main_pid)
kill -9 "$pid"
again() { systemctl is-active --quiet digestd && [ "$(main_pid)" != "$pid" ]; }
soon "it is started again after kill -9" again
soon "digestd is well after kill -9" digestctl status
( sleep 1; kill -9 "$(main_pid)" ) &
check "rpm comes through when digestd dies" rpm -U /test/packages/bulk00[1-9]-1.0-1.noarch.rpm
wait
soon "digestd is well after that" digestctl status
converged() { [ "$(expected)" = "$(lists)" ]; }
soon "lists are what rpm installed" converged
check "a reload in the middle of a transaction" bash -c '
	. /test/lib.sh
	( sleep 0.5; systemctl reload digestd ) &
	rpm -U /test/packages/bulk01?-1.0-1.noarch.rpm && wait $!'
same "no list is missing after it" "$(expected)" "$(lists)"
pid=$(main_pid)
# Where digestd takes longer to start than rpm waits for it, rpm says so: try again.
unnoticed() { [ -z "$(rpm -U --replacepkgs "$@" 2>&1)" ]; }
soon "a restart in the middle of a transaction is not noticed by rpm" unnoticed /test/packages/restarter-1.0-1.noarch.rpm /test/packages/bulk02?-1.0-1.noarch.rpm
check "it was another digestd that saw its end" test "$(main_pid)" != "$pid"
soon "which took it over" logged "transaction taken over" -u digestd
soon "lists are what that transaction installed" converged
same "so are labels" "tlv-restarter-0:1.0-1.noarch" "$(label /usr/share/restarter/text)"
starts_it() {
	systemctl stop digestd 2>/dev/null
	unnoticed /test/packages/bulk03?-1.0-1.noarch.rpm
}
soon "an installation starts digestd" starts_it
soon "by its socket" systemctl is-active digestd
soon "and has lists" converged

check "rpm removes" rpm -e hello
check "what was removed is not vouched for" test ! -e "/etc/digest_lists/tlv-hello-0:2.0-1.noarch"
soon "the journal has it" logged "transaction ended.*withdrawn=1" -u digestd
same "no unit failed to the end" "" "$(systemctl --failed --no-legend --plain)"
fact "memory at the end: $(since digestd MemoryCurrent) bytes, peak $(since digestd MemoryPeak)"
end
