# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A stock kernel runs what an active package has, and nothing else, on one file
# system.
. /test/lib.sh

modprobe loop
mount -o loop,iversion /test/app.img /opt || mount -o loop /test/app.img /opt
same "the file system is there" a1b2c3d4-0001-4002-8003-0123456789ab "$(findmnt -no UUID /opt)"
ring=$(keyctl newring _ima @u)
keyctl link @u @s
check "the kernel takes the machine's certificate" keyctl padd asymmetric "" "$ring" </var/lib/digestd/signing.der
check "rpm imports the vendor's key" rpm --import /test/vendor.asc
echo 'appraise func=BPRM_CHECK fsuuid=a1b2c3d4-0001-4002-8003-0123456789ab appraise_type=imasig' >/var/tmp/policy
check "the kernel takes the policy" cp /var/tmp/policy /sys/kernel/security/ima/policy

refused() { ! "$@" >/var/tmp/out 2>&1 && grep -q 'Permission denied' /var/tmp/out; }
# gone NAME COMMAND: it is refused, and how long that took to come.
gone() {
	local from=$EPOCHREALTIME
	soon "$1" refused "$2"
	fact "$1 after $(((${EPOCHREALTIME/./} - ${from/./}) / 1000)) ms"
}

check "rpm installs" rpm -U /test/packages/app-1.0-1.noarch.rpm /test/packages/tool-1.0-1.noarch.rpm
same "the scriptlet ran a program of its own package" "app 1.0" "$(cat /var/tmp/app-post)"
same "an executable of an active package runs" "app 1.0" "$(/opt/app/run)"
signature() { getfattr --absolute-names -e hex -n security.ima "$1" | sed -n 's/^security.ima=//p'; }
says "^0x030204" "it is signed" signature /opt/app/run
cp --preserve=all /opt/app/run /opt/app/altered
check "a copy with its signature runs, too" /opt/app/altered
{ cat /opt/app/run; echo 'echo altered'; } >/opt/app/other
chmod 755 /opt/app/other
setfattr -n security.ima -v "$(signature /opt/app/run)" /opt/app/other
check "an altered one does not run" refused /opt/app/other
cp /opt/app/run /opt/app/unsigned
check "one without a signature does not run" refused /opt/app/unsigned

check "rpm upgrades" rpm -U /test/packages/app-2.0-1.noarch.rpm
same "its scriptlet ran" "app 2.0" "$(cat /var/tmp/app-post)"
same "the new version runs" "app 2.0" "$(/opt/app/run)"
says "older than|rollback" "rpm does not go back" rpm -U --oldpackage /test/packages/app-1.0-1.noarch.rpm
same "the new version runs still" "app 2.0" "$(/opt/app/run)"
check "rpm goes back behind digestd's back" rpm -U --oldpackage --noplugins /test/packages/app-1.0-1.noarch.rpm
gone "a rolled back package does not run" /opt/app/run
check "its rollback is granted" digestctl rollback grant app-1.0-1.noarch --reason "needed"
soon "and it runs" /opt/app/run

same "the other one runs" "tool 1.0" "$(/opt/tool/run)"
check "its version is too old now" digestctl floor set tool.noarch 0:1.1-1 --reason CVE-2026-0001
gone "a package below a floor does not run" /opt/tool/run
check "the floor goes" digestctl floor clear tool.noarch --reason "no longer"
soon "and it runs again" /opt/tool/run
if digestctl deny --help >/dev/null 2>&1; then
	check "the owner denies a file" digestctl deny /opt/tool/run --reason "not here"
	gone "a denied file does not run" /opt/tool/run
	check "what is not denied runs" /opt/app/run
fi

key=$(digestctl keys --json | python3 -c 'import json,sys; print(next(k["fingerprint"] for k in json.load(sys.stdin)["keys"] if k["owner"].startswith("vendor ")))')
check "the vendor's key is revoked" digestctl keys revoke "$key" --reason stolen
gone "what it vouched for does not run" /opt/app/run
check "the rest of the system goes on" /usr/bin/true
check "and everything else on other file systems" /usr/bin/python3 -c 'print(1)'
says "revoked .*vendor" "digestd says whose lists are withheld" digestctl status
same "no unit failed" "" "$(systemctl --failed --no-legend --plain)"
end
