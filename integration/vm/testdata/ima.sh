# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# IMA enforces signatures on lists, with the machine's key and no other.
. /test/lib.sh

dir=/etc/digest_lists
key=/var/lib/digestd/signing.key
crt=/var/lib/digestd/signing.crt
reads() { cat "$1" >/dev/null; }
sign() { evmctl ima_sign -a sha256 --key "$1" --keyid-from-cert "$2" "$3"; }

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs" rpm -U /test/packages/hello-1.0-1.noarch.rpm /test/packages/bulk00?-1.0-1.noarch.rpm
same "all have lists" "$(expected)" "$(lists)"
list=$dir/tlv-hello-0:1.0-1.noarch

# A kernel without trusted keyrings looks for _ima among the keyrings of the
# process that opens the file.
ring=$(keyctl newring _ima @u)
keyctl link @u @s
check "the kernel takes the machine's certificate" keyctl padd asymmetric "" "$ring" </var/lib/digestd/signing.der
skid=$(openssl x509 -in "$crt" -noout -ext subjectKeyIdentifier | sed -n 's/[: ]//g; 2p' | tr A-F a-f)
says "$skid" "it is there under its key identifier" keyctl list "$ring"
check "that is 20 bytes" test "${#skid}" = 40
says "key ID $skid" "digestctl names the same" digestctl status

# Of a group of their own, so that the rule is for lists and nothing else.
groupadd --system --gid 917 lists
chgrp lists "$dir"/*
check "the lists get signatures" sign "$key" "$crt" "$list"
check "of the machine's key" sign "$key" "$crt" "$dir/tlv-bulk000-0:1.0-1.noarch"

# Files that an attacker could make before, or while, the policy is loaded.
mkdir /var/tmp/attack
attack() { # attack NAME: a copy of the list with its signature, of the group
	cp --preserve=xattr,mode "$list" "/var/tmp/attack/$1"
	chgrp lists "/var/tmp/attack/$1"
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger -keyout /var/tmp/stranger.key -out /var/tmp/stranger.crt 2>/dev/null
attack copy
attack forged
signature=$(getfattr --absolute-names --only-values -n security.ima "$list" | od -An -v -tx1 | tr -d ' \n')
printf 'one more digest' >>/var/tmp/attack/forged
setfattr -n security.ima -v "0x$signature" /var/tmp/attack/forged
attack unsigned
setfattr -x security.ima /var/tmp/attack/unsigned
attack hashed
check "a digest is no signature" evmctl ima_hash -a sha256 /var/tmp/attack/hashed
attack strange
check "a stranger signs, too" sign /var/tmp/stranger.key /var/tmp/stranger.crt /var/tmp/attack/strange

echo 'appraise func=FILE_CHECK fgroup=917 appraise_type=imasig' >/var/tmp/policy
check "the kernel takes the policy" cp /var/tmp/policy /sys/kernel/security/ima/policy

check "our list is accepted" reads "$list"
check "and another" reads "$dir/tlv-bulk000-0:1.0-1.noarch"
check "wherever it lies" reads /var/tmp/attack/copy
for attack in forged unsigned hashed strange; do
	says "Permission denied" "refused: $attack" reads "/var/tmp/attack/$attack"
done
says "Permission denied" "refused: a list of ours that nobody signed for IMA" reads "$dir/tlv-bulk001-0:1.0-1.noarch"
check "files of others are not concerned" reads /usr/bin/hello
soon "the kernel says why" logged 'invalid-signature' -k
soon "and why again" logged 'missing-hash|IMA-signature-required' -k
says "not permitted|denied" "a signed list cannot be written in place" bash -c "echo more >>'$list'"

# What it costs to take the key away: reference page 3.3, seen for real.
id=$(keyctl search "$ring" asymmetric "$(keyctl rdescribe "$(keyctl rlist "$ring")" | cut -d';' -f5-)")
check "the certificate leaves the keyring" keyctl unlink "$id" "$ring"
reads "$list" && stays=accepted || stays=refused
fact "with its key gone, a list that was read before is $stays"
attack later
says "Permission denied" "with its key gone, a new copy is refused" reads /var/tmp/attack/later
check "digestd is well" digestctl status

# PKCS#7, as in appended signatures: fs-verity takes a file's digest signed that
# way, and gives it to the same verify_pkcs7_signature.
mkdir /var/tmp/seal
cd /var/tmp/seal || exit
for name in ours early strange forged bare; do
	cp "$list" "$name"
	cp "$list" "$name.reference"
done
printf 'one more digest' >>forged
ends 3 "sealing is refused while no key is enrolled" /test/seal "$key" "$crt" early.reference early
check "the kernel takes the machine's certificate for PKCS#7, too" keyctl padd asymmetric "" %:.fs-verity </var/lib/digestd/signing.der
check "digestd's PKCS#7 signature is accepted" /test/seal "$key" "$crt" ours.reference ours
ends 3 "a stranger's is refused" /test/seal /var/tmp/stranger.key /var/tmp/stranger.crt strange.reference strange
ends 3 "one for other content is refused" /test/seal "$key" "$crt" forged.reference forged
check "what is sealed is read" cmp ours "$list"
says "not permitted|denied" "and cannot be changed" bash -c 'echo more >>ours'
fact "fs-verity says of the refused: $(journalctl -k -o cat | grep -i verity | tail -n 3 | tr '\n' ';')"
end
