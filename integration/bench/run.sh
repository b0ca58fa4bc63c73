#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures digestd beside an older state of it and writes docs/performance.md.
# With ROWS=why,restart in the environment it measures these alone and only prints
# them. Arguments are passed on: -scale 2000 makes the largest database smaller,
# -report FILE writes elsewhere, -alone leaves the older state out.
set -euo pipefail

cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
	echo "bench: rpm installs into a root of its own; run it as root" >&2
	exit 1
fi
# A file system of its own, fresh and with a journal as distributions make it:
# how old and how full the machine's is must not show.
image=$(mktemp /var/tmp/digestd-bench.XXXXXX)
mnt=$(mktemp -d)
trap 'umount "$mnt" 2>/dev/null; rm -f "$image"; rmdir "$mnt"' EXIT
truncate -s 24G "$image"
mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$image"
mount -o loop "$image" "$mnt"

report=(-report "$PWD/docs/performance.md")
if [ -n "${ROWS:-}" ]; then
	report=(-rows "$ROWS")
fi
TMPDIR=$mnt go test ./integration/bench -run '^$' -bench Figures -benchtime 1x -timeout 1h "${report[@]}" "$@"
