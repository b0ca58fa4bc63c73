#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures digestd and writes docs/performance.md. Arguments are passed on:
# -scale 2000 makes the largest database smaller, -report FILE writes elsewhere.
set -euo pipefail

cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
	echo "bench: rpm installs into a root of its own; run it as root" >&2
	exit 1
fi
exec go test ./integration/bench -run '^$' -bench Figures -benchtime 1x -timeout 1h -report "$PWD/docs/performance.md" "$@"
