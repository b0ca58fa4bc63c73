# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# digestd cannot start: the machine comes up, and rpm works.
. /test/lib.sh

ends 3 "digestd is not active" systemctl is-active digestd
same "nothing else failed" "" "$(systemctl --failed --no-legend --plain | grep -v ^digestd.service)"
fact "digestd was tried $(($(systemctl show -P NRestarts digestd) + 1)) times"
soon "the journal says which line is wrong" logged 'mode = "enforced".*enforce' -u digestd
fact "the machine was up $(($(systemctl show -P ActiveEnterTimestampMonotonic multi-user.target) / 1000000)) s after the kernel"
ends 6 "digestctl says that nobody is there" digestctl status
check "rpm imports" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
says 'mode = "enforced".*going on' "rpm says which line is wrong" rpm -U --replacepkgs /test/packages/hello-1.0-1.noarch.rpm
check "rpm upgrades" rpm -U /test/packages/hello-2.0-1.noarch.rpm
check "dnf installs" dnf -y --disablerepo='*' install /test/packages/bulk000-1.0-1.noarch.rpm
check "rpm removes" rpm -e hello
echo 'mode = "enforce"' >/etc/digestd/digestd.conf
check "mended, it starts" systemctl restart digestd
same "and lists what was installed without it" "$(expected)" "$(lists)"
soon "digestd is well" digestctl status
end
