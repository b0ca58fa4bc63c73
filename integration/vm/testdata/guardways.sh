# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The guard enforces from the start of the machine on. Files come and go in every way there is,
# and at last the guard's own program goes.
. /test/guard.sh

soon "with its snapshot it enforces" logged 'mode=enforce wanted=enforce why=""' -u digestd-guard
soon "the guard agrees with digestd" settled
check "it enforces" enforces
none "nothing was refused since the start"

# Lists of the owner's own, which make makes and runs at once.
mkdir /var/tmp/made
printf 'all:\n\tcp /usr/bin/true new && date +%%N >>new && mv new tool && digestctl own add made --reason test $(CURDIR)/tool >/dev/null && ./tool\n' >/var/tmp/made/Makefile
made() { for _ in $(seq 10); do make -s -C /var/tmp/made || return 1; done; }
check "what make made runs as soon as it is listed" made

# Behind digestd's back: refused until the comparison.
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
systemctl kill -s STOP digestd
check "rpm upgrades behind digestd's back" rpm -U --noplugins --noscripts /test/packages/hello-2.0-1.noarch.rpm
check "what it brought is refused" refused /usr/bin/hello
begun=$EPOCHREALTIME
systemctl kill -s CONT digestd
soon "and runs after the comparison" /usr/bin/hello
fact "digestd goes on, and it runs after $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000)) ms"

# The mode lets rpm go back, and withholds the list.
echo 'mode = "withhold"' >/etc/digestd/digestd.conf.d/mode.conf
check "digestd withholds what is older" systemctl reload digestd
check "rpm goes back" rpm -U --oldpackage --noscripts /test/packages/hello-1.0-1.noarch.rpm
check "the older one is refused" refused /usr/bin/hello
check "its rollback is granted" digestctl rollback grant hello-1.0-1.noarch --reason test
soon "and it runs" /usr/bin/hello
rm /etc/digestd/digestd.conf.d/mode.conf
check "digestd enforces again" systemctl reload digestd

# While rpm installs many packages and hello is run all the time.
: >/var/tmp/ran
while [ -e /var/tmp/ran ]; do /usr/bin/hello >/dev/null 2>&1 && echo ran >>/var/tmp/ran; done &
rpm -U /test/packages/bulk*-1.0-1.noarch.rpm >/var/tmp/bulk 2>&1 &
installs=$!
sleep 1
for _ in 1 2 3; do
	check "a denial under load" digestctl deny hello --reason test
	check "what is denied is refused" refused /usr/bin/hello
	check "it is lifted" digestctl deny lift hello --reason test
	soon "and hello runs" /usr/bin/hello
done
key=$(digestctl keys --json | python3 -c 'import json,sys; print(next(k["fingerprint"] for k in json.load(sys.stdin)["keys"] if k["owner"].startswith("vendor ")))')
check "the vendor's key is revoked under load" digestctl keys revoke "$key" --reason stolen
check "what it vouched for is refused" refused /usr/bin/hello
before=$(wc -l </var/tmp/ran)
sleep 2
same "and never begins after it" "$before" "$(wc -l </var/tmp/ran)"
rm /var/tmp/ran
wait $installs
fact "hello ran $before times; rpm ended with $?"
# Signatures for IMA beside it.
echo 'ima-signatures = true' >/etc/digestd/digestd.conf.d/ima.conf
check "digestd signs for IMA, too" systemctl restart digestd
soon "files of packages are signed" getfattr --absolute-names -n security.ima /usr/bin/bash
soon "the guard agrees with that digestd" settled
check "what is signed runs" bash -c true
check "what was signed while rpm installed runs" bash -c 'rpm --version && systemctl is-active digestd'
none "nothing else was refused by then"

# Without its scriptlets digestd leaves the guard in the kernel.
check "what no list holds is refused until the end" refused /usr/local/bin/unlisted
mapfile -t packages < <(rpm -qa --qf '%{name}\n' '*digestd*')
check "rpm removes digestd without its scriptlets" rpm -e --noscripts "${packages[@]}"
soon "everything runs a moment later" /usr/local/bin/unlisted
soon "nothing is left in the kernel" sh -c '[ -z "$(ls /sys/fs/bpf)" ]'
end
