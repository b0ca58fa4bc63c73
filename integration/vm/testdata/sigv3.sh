# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A kernel that demands signatures of version 3 (appraise_type=sigv3) runs what digestd signs so.
. /test/lib.sh

fact "the kernel is $(uname -r)"
mkdir -p /etc/digestd/digestd.conf.d
printf 'ima-signatures = true\nima-signature-version = 3\n' >/etc/digestd/digestd.conf.d/ima.conf
check "digestd takes the setting" systemctl restart digestd
check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm
version() { getfattr --absolute-names --only-values -n security.ima "$1" | od -An -v -tx1 -N2 | tr -d ' \n'; }
# Where rpm was faster than the answer, digestd signs after the transaction.
signed() { [ "$(version /usr/bin/hello)" = 0303 ]; }
soon "the program has a signature of version 3" signed

# A kernel without trusted keyrings looks for _ima among those of the process that runs a file.
ring=$(keyctl newring _ima @u)
keyctl link @u @s
check "the kernel takes the machine's certificate" keyctl padd asymmetric "" "$ring" </var/lib/digestd/signing.der

groupadd --system --gid 917 signed
mkdir /var/tmp/run
for name in ours altered unsigned old; do
	cp --preserve=xattr,mode /usr/bin/hello "/var/tmp/run/$name"
	chgrp signed "/var/tmp/run/$name"
done
signature=$(getfattr --absolute-names --only-values -n security.ima /usr/bin/hello | od -An -v -tx1 | tr -d ' \n')
printf '# altered\n' >>/var/tmp/run/altered
setfattr -n security.ima -v "0x$signature" /var/tmp/run/altered
setfattr -x security.ima /var/tmp/run/unsigned
check "a signature of version 2, by the same key" evmctl ima_sign -a sha256 --key /var/lib/digestd/signing.key --keyid-from-cert /var/lib/digestd/signing.crt /var/tmp/run/old
same "it is of version 2" 0302 "$(version /var/tmp/run/old)"

echo 'appraise func=BPRM_CHECK fgroup=917 appraise_type=sigv3' >/var/tmp/policy
check "the kernel takes the policy" cp /var/tmp/policy /sys/kernel/security/ima/policy
says 'hello, version 1.0' "what digestd signed runs" /var/tmp/run/ours
for name in altered unsigned old; do
	says "Permission denied" "refused: $name" "/var/tmp/run/$name"
done
check "digestd is well" digestctl status
end
