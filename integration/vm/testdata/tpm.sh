# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The first boot of a machine with a TPM, in which digestd makes its key.
. /test/lib.sh

check "the machine has a TPM" test -c /dev/tpmrm0
soon "digestd is well" digestctl status
same "the key is the TPM's" "-----BEGIN TSS2 PRIVATE KEY-----" "$(head -n 1 /var/lib/digestd/signing.key)"
check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
same "the list is there" "tlv-hello-0:1.0-1.noarch" "$(lists)"
before=$(date +%s%N)
check "rpm installs many" rpm -U /test/packages/bulk0[0-4]?-1.0-1.noarch.rpm
fact "50 packages by a key in the TPM: $((($(date +%s%N) - before) / 1000000)) ms"
same "all their lists are there" "$(expected)" "$(lists)"
check "the key moves to a file" bash -c '
	rm /etc/digestd/digestd.conf.d/tpm.conf &&
	systemctl restart digestd &&
	digestctl keys rotate --reason "to a file"'
same "it is in the file" "-----BEGIN PRIVATE KEY-----" "$(head -n 1 /var/lib/digestd/signing.key)"
check "the key moves to the TPM" bash -c '
	echo "signing-key = \"tpm:\"" >/etc/digestd/digestd.conf.d/tpm.conf &&
	systemctl restart digestd &&
	digestctl keys rotate --reason "to the TPM"'
same "it is the TPM's" "-----BEGIN TSS2 PRIVATE KEY-----" "$(head -n 1 /var/lib/digestd/signing.key)"
same "no list is missing" "$(expected)" "$(lists)"
end
