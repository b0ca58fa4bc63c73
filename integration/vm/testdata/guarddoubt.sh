# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# After the power failed, and what the guard makes of snapshots that it cannot use. The
# machine starts its user space anew in between, and goes off by an initramfs.
. /test/guard.sh
state=/var/lib/digestd

again=/run/digestd-test-count stays=/run/systemd/system/digestd-test.service.d
if [ ! -e "$again" ]; then
	soon "the guard saw that its snapshot was older" logged 'begins in doubt.*is from commit [0-9]+, but the index is at commit [0-9]+' -u digestd-guard
	soon "it audited" logged 'mode=audit wanted=enforce' -u digestd-guard
	soon "it agrees with digestd" agrees
	soon "it enforces once that was checked" enforces
	check "the doubt is a problem" problem 'no valid snapshot when the machine started'
	check "what no list holds is refused" refused /usr/local/bin/unlisted
	same "lists are what rpm's database says" "$(expected)" "$(lists | grep -v machine)"
	soon "a snapshot is kept" kept
	check "the guard is started again" systemctl restart digestd-guard
	gone() { ! problem 'no valid snapshot when the machine started'; }
	soon "the doubt is over" gone
	cp $state/guard.snapshot /var/tmp/good
	check "a list comes" rpm -U /test/packages/hello-2.0-1.noarch.rpm
	soon "a snapshot has it" kept

	# start WANT TEXT NAME: the guard as at the start of a machine, without digestd.
	start() {
		systemctl stop digestd-guard
		digestd-guard -off
		systemctl start digestd-guard
		same "$3: it is in mode $1" "$1" "$(digestctl guard status --json | sed -n 's/^  "mode": "\(.*\)",/\1/p')"
		says "$2" "$3: it says why" digestctl guard status
	}
	systemctl stop digestd.socket digestd
	cp $state/guard.snapshot /var/tmp/newest
	cp /var/tmp/good $state/guard.snapshot
	start audit 'snapshot is from commit' "an older snapshot"
	echo 'guard-doubt = "enforce"' >/etc/digestd/digestd.conf.d/doubt.conf
	start enforce 'snapshot is from commit' "an older snapshot that its owner wants"
	check "what it has runs" /usr/bin/id
	check "what came later does not" refused /usr/bin/hello
	printf x | dd of=$state/guard.snapshot bs=1 seek=100 conv=notrunc 2>/dev/null
	start audit 'signature is not that of the machine' "an altered snapshot"
	rm $state/guard.snapshot
	start audit 'no such file' "no snapshot"
	rm /etc/digestd/digestd.conf.d/doubt.conf
	cp /var/tmp/newest $state/guard.snapshot
	start enforce 'mode enforce$' "the newest"
	check "what it has runs, all of it" /usr/bin/hello
	check "what no list holds is refused without digestd" refused /usr/local/bin/unlisted
	systemctl start digestd.socket digestd
	soon "digestd is back, and they agree" agrees
	none "nothing else was refused"
	echo "$count" >"$again"
	sync
	# The end of this service is not that of the machine, this once.
	mkdir -p "$stays"
	printf '[Unit]\nFailureAction=none\nSuccessAction=none\n' >"$stays/stays.conf"
	systemctl daemon-reload
	systemctl soft-reboot
	sleep infinity
fi

rm -r "$stays"
systemctl daemon-reload
count=$(cat "$again")
says '^1$' "user space was started anew" systemctl show -P SoftRebootsCount
check "the guard enforces after it" enforces
check "what no list holds is refused after it" refused /usr/local/bin/unlisted
check "what a list holds runs after it" /usr/bin/hello
none "nothing else was refused by then"
# What an initramfs leaves for the end: copies of what is listed, and a script that is.
mkdir -p /run/initramfs/bin /run/initramfs/etc
cp /usr/bin/busybox /run/initramfs/bin/busybox
ln -s busybox /run/initramfs/bin/sh
ln -s busybox /run/initramfs/bin/poweroff
touch /run/initramfs/etc/initrd-release
cat >/run/initramfs/shutdown <<END
#!/bin/sh
echo "ok the initramfs ends the machine" >/dev/ttyS1
echo "end $((count + 2))" >/dev/ttyS1
/bin/poweroff -f
END
chmod +x /run/initramfs/shutdown
check "the initramfs's script is listed" digestctl own add initramfs --reason test /run/initramfs/shutdown
