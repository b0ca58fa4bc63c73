# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The boot after a power cut.
. /test/lib.sh

fact "rpm has $(rpm -qa --qf '%{version}\n' 'bulk*' | sort | uniq -c | tr -s '\n ' ' ')of each version"
fact "$(journalctl -b -u digestd -o cat | grep 'reason=start')"
check "digestd is active" systemctl is-active digestd
same "lists are what rpm's database says" "$(expected)" "$(lists)"
soon "digestd is well" digestctl status
check "what was there before is vouched for" digestctl why /usr/bin/hello
same "it is labelled" "tlv-hello-0:2.0-1.noarch" "$(label /usr/bin/hello)"
same "nothing was taken for another program's" "" "$(ls /etc/digest_lists.quarantine 2>/dev/null)"
same "no unit failed" "" "$(systemctl --failed --no-legend --plain)"

# The lists verify with the key that was there before the cut.
same "its key survived" "$(openssl x509 -in /var/lib/digestd/signing.crt -pubkey -noout)" "$(openssl pkey -in /var/lib/digestd/signing.key -pubout)"

# What the cut left undone can be done again, and what it did cannot be undone.
check "rpm completes the upgrade" rpm -U --replacepkgs /test/packages/bulk*-2.0-1.noarch.rpm
same "all have lists" "$(expected)" "$(lists)"
ends 1 "the old version is refused" rpm -U --oldpackage /test/packages/bulk000-1.0-1.noarch.rpm
check "digestd is well to the end" digestctl status
end
