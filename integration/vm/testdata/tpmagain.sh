# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The second boot: the key is still the TPM's, and signs.
. /test/lib.sh

soon "digestd is well" digestctl status
check "rpm upgrades" rpm -U /test/packages/hello-2.0-1.noarch.rpm
same "no list is missing" "$(expected)" "$(lists)"
check "the list is the upgrade's" test -e "/etc/digest_lists/tlv-hello-0:2.0-1.noarch"
soon "the journal says where the key is" logged "signing key found.*TPM /dev/tpmrm0" -u digestd
end
