#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# systemd.sh UNITS: runs systemd as the first process of a machine of its own (processes,
# mounts, cgroups, /run), with units of the directory UNITS alone, until standard input
# ends. It prints the number of the process whose child systemd is. What lies
# outside of /run and /sys/fs/cgroup is that of this machine.
set -eu
units=$1

# Its cgroups are below this process's, one in each hierarchy that systemd uses: as the
# root of its own namespace, it takes nobody else's processes over.
own=
while IFS=: read -r _ what path; do
	case $what in
	name=systemd) own="$own /sys/fs/cgroup/systemd${path%/}/digestd-test-$$" ;;
	'') if [ -d /sys/fs/cgroup/unified ]; then
		own="$own /sys/fs/cgroup/unified${path%/}/digestd-test-$$"
	elif [ ! -d /sys/fs/cgroup/systemd ]; then
		own="$own /sys/fs/cgroup${path%/}/digestd-test-$$"
	fi ;;
	esac
done </proc/self/cgroup
[ -n "$own" ]

# What was killed leaves its cgroup a moment later.
remove() {
	for group in $own; do
		for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			[ -d "$group" ] || break
			find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
		done
	done
}
trap remove EXIT
for group in $own; do mkdir "$group"; done

sh -euc '
	for group in $1; do echo $$ >"$group/cgroup.procs"; done
	exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private sh -euc "$2" sh "$3"
' sh "$own" '
	mount -t proc proc /proc
	mount -t tmpfs tmpfs /run
	if [ -d /sys/fs/cgroup/systemd ]; then
		mount -t tmpfs tmpfs /sys/fs/cgroup
		mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
		mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
		mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
	else
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
	fi
	# Not before it is certain that the cgroups are its own.
	! grep -E "^(0:|[0-9]+:name=systemd):/." /proc/self/cgroup
	exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$1" /usr/lib/systemd/systemd --unit=test.target
' "$units" </dev/null >&2 &
first=$!
echo "$first"
cat >/dev/null
kill -KILL "$first"
wait "$first" 2>/dev/null || true
