# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # the test sets tbs, signer, body, file and platform
# The kernel's keyrings, as digestd sees them under systemd: what the firmware put
# there counts, what is enrolled is there, what is revoked is not.
. /test/lib.sh
. /test/facts

crt=/var/lib/digestd/signing.crt
skid() { openssl x509 -in "$crt" -noout -ext subjectKeyIdentifier | sed -n 's/[: ]//g; 2p' | tr A-F a-f; }
has() { keyctl list "$1" | grep -q "$2"; }

fact "keyrings: $(grep -c . /proc/keys) keys, $(keyctl rlist %:.blacklist | wc -w) in .blacklist, $(keyctl rlist %:.platform | wc -w) in .platform"
says "$tbs" "the kernel's .blacklist has what the firmware names" keyctl list %:.blacklist
says "Firmware of the test" "its .platform has what the firmware trusts" keyctl list %:.platform

# The certificate that the machine came with is named: it signed nothing.
check "another certificate signs from the first start on" test "$(skid)" != "$signer"
says "revoked by +the kernel's .blacklist" "digestctl says who revoked it" digestctl keys show "$signer"
ends 2 "it cannot be restored" digestctl keys restore "$signer" --reason test

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
says "kernel's .blacklist" "rpm says which package has no list, and why" rpm -U /test/packages/hello-1.0-1.noarch.rpm /test/packages/bulk000-1.0-1.noarch.rpm /test/packages/bulk001-1.0-1.noarch.rpm
same "what the firmware names has no list" "tlv-bulk001-0:1.0-1.noarch tlv-hello-0:1.0-1.noarch" "$(lists | tr '\n' ' ' | sed 's/ $//')"
says "contains its list, $body" "the list of bulk000 is withheld" digestctl show bulk000
ends 3 "the list of hello leaves out a file" digestctl why /usr/bin/hello
says "kernel's .blacklist because it contains $file" "and why says for whom" digestctl why /usr/bin/hello
check "the other file is vouched for" digestctl why /usr/share/hello/text
ends 2 "the administrator cannot lift what the kernel says" digestctl keys restore "$file" --reason test
check "rpm upgrades" rpm -U /test/packages/hello-2.0-1.noarch.rpm
same "the new version has a list" "tlv-bulk001-0:1.0-1.noarch tlv-hello-0:2.0-1.noarch" "$(lists | tr '\n' ' ' | sed 's/ $//')"

# One picture of all keys.
says "$platform +trusted.*kernel \.platform +Firmware of the test" "keys lists the firmware's certificate" digestctl keys
says "trusted .*kernel \.builtin_trusted_keys +.*kernel key" "and those built into the kernel" digestctl keys
says "trusted +- +(rsa|ecdsa).*\.builtin_trusted_keys" "with their algorithms" digestctl keys
says "$body +revoked.*kernel's \.blacklist" "and what .blacklist names" digestctl keys
says "$tbs" "all of it, if asked" digestctl keys --all

ends 2 "what is the kernel's is not revoked here" digestctl keys revoke "$platform" --reason test

# What the kernel can do.
same "status knows the kernel" "$(uname -r) no yes yes no false false true" "$(digestctl status --json | python3 -c '
import json, sys
k = json.load(sys.stdin)["kernel"]
print(k["release"], k["digestCache"], k["ima"], k["appraisal"], k["modsig"], *[str(k[n]).lower() for n in ("notifications", "blacklistOpen")], str(k["pollNs"] == 10**9).lower())')"
says "blacklist.d|takes nothing after boot" "that the kernel takes no signed entries is said" digestctl status
ends 0 "which is no reason to be unwell" digestctl status

# A kernel without trusted keyrings verifies by one in root's session.
says "no .ima keyring.*TRUSTED_KEYRING" "without a keyring enrol says what is missing" digestctl keys enrol --ima
ring=$(keyctl newring _ima @u)
keyctl link @u @s
first=$(skid)
check "enrol" digestctl keys enrol --ima
check "the kernel has the certificate" has "$ring" "$first"
says "in kernel +_ima" "digestctl says so" digestctl keys show "$first"
check "enrol for the next boot" digestctl keys enrol --file
check "it is where the kernel loads it from" cmp /etc/keys/x509_ima.der /var/lib/digestd/signing.der
check "the next one is prepared" digestctl keys rotate --prepare --reason yearly
check "rotate" digestctl keys rotate --reason yearly
second=$(skid)
check "the next one is in the kernel, too" has "$ring" "$second"
check "the next boot loads the next one" cmp /etc/keys/x509_ima.der /var/lib/digestd/signing.der
check "the old one stays until it is revoked" has "$ring" "$first"
check "revoke the old one" digestctl keys revoke "$first" --reason test
ends 1 "the old one is out of the kernel" has "$ring" "$first"
check "revoke the one that signs" digestctl keys revoke "$second" --reason test
ends 1 "it is out of the kernel" has "$ring" "$second"
check "its successor is in" has "$ring" "$(skid)"
same "the next boot loads the successor and no other" "/etc/keys/ima/digestd-$(skid).der" "$(ls /etc/keys/ima/*)"
check "and so does the kernel itself" cmp /etc/keys/x509_ima.der /var/lib/digestd/signing.der

# Put back by another program, it goes again.
check "another program puts the revoked one back" bash -c "openssl x509 -in /var/lib/digestd/signing-old/$second.crt -outform DER | keyctl padd asymmetric '' $ring"
check "it is there" has "$ring" "$second"
check "sync" digestctl sync
ends 1 "it is gone" has "$ring" "$second"

# A new kernel session does not bring back what is recorded.
check "restart" systemctl restart digestd
soon "digestd is well" digestctl status
same "lists are as they were" "tlv-bulk001-0:1.0-1.noarch tlv-hello-0:2.0-1.noarch" "$(lists | tr '\n' ' ' | sed 's/ $//')"
same "no unit failed" "" "$(systemctl --failed --no-legend --plain)"
end
