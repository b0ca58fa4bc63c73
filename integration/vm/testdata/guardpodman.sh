# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Containers of root run what their image has, and no others do; and everything runs once
# digestd's packages are removed.
. /test/guard.sh

ldconfig
check "what the machine has is listed" list_machine
mkdir -p /var/tmp/image/bin
cp /usr/bin/busybox /var/tmp/image/bin/busybox
echo unlisted >>/var/tmp/image/bin/busybox
cp /var/tmp/image/bin/busybox /usr/local/bin/unlisted
check "podman has an image" sh -c 'tar -C /var/tmp/image -c . | podman import - test'
cp /usr/bin/true /usr/local/bin/other
echo other >>/usr/local/bin/other
echo 'guard = "enforce"' >/etc/digestd/digestd.conf.d/guard.conf
check "digestd takes the setting over" systemctl restart digestd
check "the guard starts" systemctl enable --now digestd-guard
soon "it agrees with digestd" agrees
soon "it enforces" enforces
check "what no list holds is refused" refused /usr/local/bin/unlisted true
run() { podman run --rm --network=none "$@"; }
same "podman runs what its image has" "contained" "$(run test /bin/busybox echo contained 2>&1)"
says 'exempt +containers of machine.slice' "the exemption is shown" digestctl guard status
says '[1-9][0-9]* checks were exempt' "and counted" digestctl guard status
says 'Operation not permitted|permission denied' "a file of the host is refused in a container" run -v /usr/local/bin:/host test /host/other
check "the same file on the host, too" refused /usr/local/bin/other
useradd -m user
says 'Operation not permitted' "a user's own mounts are not exempt" setpriv --reuid user --regid user --clear-groups unshare -Urm \
	sh -c 'mount -t tmpfs none /mnt && cp /usr/local/bin/unlisted /mnt/ && /mnt/unlisted true'
echo 'guard-containers = false' >/etc/digestd/digestd.conf.d/containers.conf
check "the owner takes the exemption away" systemctl restart digestd-guard
soon "it agrees with digestd again" agrees
says 'Operation not permitted|permission denied' "podman runs nothing unlisted then" run test /bin/busybox echo contained
check "what no list holds is refused until the end" refused /usr/local/bin/other
mapfile -t packages < <(rpm -qa --qf '%{name}\n' '*digestd*')
check "rpm removes digestd" rpm -e "${packages[@]}"
check "everything runs" /usr/local/bin/other
same "nothing is left in the kernel" "" "$(ls /sys/fs/bpf)"
same "and no unit" "inactive" "$(systemctl is-active digestd-guard)"
end
