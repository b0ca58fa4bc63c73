#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# systemd/version.sh: prints the version of what is committed. A tag vVERSION is that
# release; any other commit comes before it, in order.
set -euo pipefail
cd "$(dirname "$0")/.."

git() { command git -c safe.directory="$PWD" "$@"; }

version=$(sed -n 's/^var Version = "\(.*\)"/\1/p' daemon/api/api.go)
if [ "$(git describe --tags --exact-match 2>/dev/null)" != "v$version" ]; then
	version=$version~$(git rev-list --count HEAD).g$(git rev-parse --short HEAD)
fi
echo "$version"
