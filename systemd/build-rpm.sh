#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# systemd/build-rpm.sh rpm|srpm|sources [OUT]: packages, the source package, or what
# rpmbuild makes them of, from what is committed, in OUT (bin/rpm).
#
# Needs what integration/setup.sh rpm installs, and Go. rpm takes Go modules from
# the machine's module cache and no network; srpm puts them into the source
# package, for builders that have no cache: build that with --with vendor.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1-}
out=$(realpath -m "${2-bin/rpm}")
git() { command git -c safe.directory="$PWD" "$@"; }

[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "build-rpm: not committed, and so not in the packages: $(git status --porcelain --untracked-files=no | cut -c4- | tr '\n' ' ')" >&2

version=$(systemd/version.sh)

# bundled prints what Go modules the programs have within, of which it fetches what the module
# cache lacks: rpmbuild has no network. A version must not have a dash. digestd-pkcs11 is in C
# in part, and its module is hidden without cgo.
bundled() {
	CGO_ENABLED=1 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}' ./cmd/... | sort -u |
		while read -r module number; do
			number=${number#v}
			echo "Provides:       bundled(golang($module)) = ${number//-/.}"
		done
}

top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir "$top/SOURCES"
spec=$top/digestd.spec
bundled >"$top/bundled"
sed -e "s/^Version: .*/Version:        $version/" -e "/^# What the programs have within/r $top/bundled" systemd/digestd.spec >"$spec"
git archive --prefix="digestd-$version/" -o "$top/SOURCES/digestd-$version.tar.gz" HEAD

options=(
	--define "_topdir $top" --define "_rpmdir $out" --define "_srcrpmdir $out"
	--define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm'
)
# Debian's packages are not rpm's: setup.sh has seen to what is needed.
[ ! -e /etc/debian_version ] || options+=(--nodeps)
# Without the policy's headers there is no package of the SELinux module.
[ -e /usr/share/selinux/devel/Makefile ] || options+=(--without selinux)

rm -rf "$out"
mkdir -p "$out"
case $what in
rpm) set -- -bb ;;
srpm)
	go mod vendor -o "$top/vendor"
	tar -C "$top" -czf "$top/SOURCES/digestd-$version-vendor.tar.gz" vendor
	set -- -bs --with vendor
	;;
sources)
	cp "$spec" "$top"/SOURCES/* "$out"
	exit
	;;
*)
	echo "usage: $0 rpm|srpm|sources [OUT]" >&2
	exit 2
	;;
esac
log=$top/log
rpmbuild "$@" "${options[@]}" "$spec" >"$log" 2>&1 </dev/null || {
	tail -n 40 "$log" >&2
	exit 1
}
ls "$out"/*.rpm
