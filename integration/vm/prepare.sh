#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes what a booted machine needs: a Debian trixie tree with systemd, rpm and
# dnf, its kernel, an initrd and a disk image of the tree. All of it goes to
# ${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}/vm and is made once; a change of
# this script makes it anew. Needs root and the machine's own package sources.
set -euo pipefail

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
vm=$cache/vm
suite=trixie

# The guest. The compiler is for the rpm plugin, whose ABI is that of librpm.
packages=(
	systemd systemd-sysv udev kmod dbus libpam-systemd polkitd passwd util-linux procps
	rpm dnf python3 attr keyutils ima-evm-utils libssl3t64 openssl
	gcc libc6-dev make pkgconf librpm-dev
	busybox-static
)

if [ "$(id -u)" != 0 ]; then
	echo "prepare: debootstrap needs root" >&2
	exit 1
fi
mkdir -p "$cache"
exec 9>"$cache/vm.lock"
flock 9

stamp=$(sha256sum <"$0" | cut -d' ' -f1)
if [ "$(cat "$vm/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

needed=()
command -v qemu-system-x86_64 >/dev/null || needed+=(qemu-system-x86)
command -v qemu-img >/dev/null || needed+=(qemu-utils)
command -v debootstrap >/dev/null || needed+=(debootstrap)
command -v cpio >/dev/null || needed+=(cpio)
command -v xz >/dev/null || needed+=(xz-utils)
command -v mke2fs >/dev/null || needed+=(e2fsprogs)
if [ ${#needed[@]} != 0 ]; then
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${needed[@]}"
fi

# Whatever form the sources have, apt says which mirror they name.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
	awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
	echo "prepare: apt knows no Debian mirror; run apt-get update" >&2
	exit 1
fi

part=$vm.part
rm -rf --one-file-system "$part"
mkdir -p "$part"
root=$part/root

debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$suite" "$root" "$mirror"

# The kernel is only unpacked: its scripts would build an initrd for a machine
# that is not this one.
chroot "$root" apt-get update
image=$(chroot "$root" apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
(cd "$root" && chroot . sh -c "cd /tmp && apt-get download $image")
chroot "$root" sh -c 'dpkg-deb -x /tmp/linux-image-*.deb / && rm /tmp/linux-image-*.deb'
release=$(basename "$root"/usr/lib/modules/*)
chroot "$root" depmod "$release"
cp "$root/boot/vmlinuz-$release" "$part/vmlinuz"
cp "$root/boot/config-$release" "$part/config"
chroot "$root" apt-get clean
rm -rf "${root:?}"/var/lib/apt/lists/* "${root:?}"/usr/share/{doc,man,locale} "${root:?}"/boot/*

# Nothing that waits for a network, a clock or a person.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
	dnf-makecache.timer systemd-firstboot.service getty@tty1.service serial-getty@ttyS0.service systemd-pcrphase.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
echo digestd-vm >"$root/etc/hostname"
echo 'LABEL=root / ext4 rw 0 1' >"$root/etc/fstab"
: >"$root/etc/machine-id"
mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"

# What an initrd needs to find the disk; its init comes with the test.
initrd=$part/initrd.d
mkdir -p "$initrd"/{bin,dev,proc,sys,root,modules}
cp "$root/bin/busybox" "$initrd/bin/busybox"
for module in virtio_pci virtio_blk ext4; do
	chroot "$root" modprobe -S "$release" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' | while read -r file; do
	name=$(basename "$file" .xz)
	xz -dc "$root/$file" >"$initrd/modules/$name"
	echo "$name" >>"$initrd/modules/order"
done
# Not compressed: more archives are appended, and the kernel wants them aligned.
(cd "$initrd" && find . | cpio --quiet -o -H newc) >"$part/initrd"
rm -rf "$initrd"

# The disk. Tests write to copies that hold only what differs from it.
truncate -s 4G "$part/base.img"
mke2fs -q -t ext4 -L root -O verity -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$part/base.img"

echo "$stamp" >"$part/stamp"
rm -rf --one-file-system "$vm"
mv "$part" "$vm"
