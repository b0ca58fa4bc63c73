#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# integration/setup.sh build|rpm|demo|lint|programs|test: installs what that level needs, by apt,
# dnf or zypper, whichever the machine has. Go is assumed to be there. A level
# includes those before it; what is there already is not touched, and takes no
# time. The roots of other releases that tests need are kept in
# DIGESTD_TEST_CACHE (/var/cache/digestd-test). They are made from the Debian archive
# that apt uses on this machine, or from the one whose address DIGESTD_TEST_MIRROR has.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

die() {
	echo "setup: $*" >&2
	exit 1
}

# A program, the package that brings it on Debian, and what to ask dnf and
# zypper for when it is not simply /usr/bin/PROGRAM. A word with / is a file, one
# with ( a library's development files or a module of Python's.
level_build='
make             make
cc               gcc,libc6-dev
pkg-config       pkg-config
rpm              rpm
pkgconfig(rpm)   librpm-dev
'
level_rpm='
rpmbuild         rpm
git              git
tar              tar
gzip             gzip
'
level_demo='
rpmsign          rpm
gpg              gnupg
gpg-agent        gnupg
gpgconf          gnupg
dbus-daemon      dbus
getfattr         attr
cmp              diffutils
find             findutils
'
level_lint='
shellcheck       shellcheck
'
level_test='
dnf              dnf
createrepo_c     createrepo-c
modifyrepo_c     createrepo-c
zypper           zypper
unzck            zchunk
openssl          openssl
strace           strace
softhsm2-util    softhsm2
swtpm            swtpm
evmctl           ima-evm-utils
fapolicyd-cli    fapolicyd
/usr/lib/python3/dist-packages/jsonschema/__init__.py python3-jsonschema python3-jsonschema
unshare          util-linux
zip              zip
mount            mount
flock            util-linux
systemd-analyze  systemd
rpmlint          rpmlint
/usr/share/selinux/devel/Makefile selinux-policy-dev,checkpolicy,semodule-utils,policycoreutils-dev selinux-policy-devel
bzip2            bzip2
file             file
debootstrap      debootstrap         debootstrap
mke2fs           e2fsprogs           e2fsprogs
mkfs.btrfs       btrfs-progs         btrfs-progs
clang-19         clang-19            clang
llvm-strip-19    llvm-19             llvm
qemu-system-x86_64 qemu-system-x86
qemu-img         qemu-utils
/usr/share/OVMF/OVMF_CODE_4M.fd ovmf edk2-ovmf
cpio             cpio
xz               xz-utils
/usr/share/bash-completion/bash_completion bash-completion bash-completion
zsh              zsh
fish             fish
chromium         chromium            chromium
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring debian-keyring
busctl           systemd
journalctl       systemd
pkaction         polkitd             polkit
pkill            procps
/usr/bin/python3 python3             python3
python3(gi)      python3-gi          python3-gobject
'

# Releases with other versions of rpm than this machine's.
roots='
trixie rpm,librpm-dev,gcc,libc6-dev,pkg-config,attr,dnf,gnupg,make,python3,zypper
forky  rpm,librpm-dev,gcc,libc6-dev,pkg-config,attr,dnf,gnupg,make,python3,dnf5,sq,zypper
'

there() {
	case $1 in
	python3\(*) [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import ${1:8:-1}" 2>/dev/null ;;
	pkgconfig\(*) command -v pkg-config >/dev/null && pkg-config --exists "${1:10:-1}" ;;
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# missing prints, of the table on its input, the lines of what is not there.
missing() {
	local what apt other
	while read -r what apt other; do
		[ -z "$what" ] || there "$what" || echo "$what $apt ${other-}"
	done
}

# manager prints what installs packages here. Debian has dnf too, as a program
# like any other that manages nothing; so apt-get comes first.
manager() {
	local m
	for m in apt-get dnf zypper; do
		command -v "$m" >/dev/null && echo "$m" && return
	done
	return 1
}

# wanted prints the packages that a manager must install for a table's lines.
wanted() {
	local what apt other
	while read -r what apt other; do
		if [ "$1" = apt-get ]; then
			printf '%s\n' ${apt//,/ }
		elif [ -n "$other" ]; then
			echo "$other"
		else
			case $what in
			*\(*) echo "$what" ;;
			*) echo "/usr/bin/$what" ;;
			esac
		fi
	done | sort -u
}

# quietly shows what a command says only when it fails.
quietly() {
	local log status=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || status=$?
	[ "$status" = 0 ] || tail -n 30 "$log" >&2
	rm -f "$log"
	return "$status"
}

install_packages() {
	local m=$1
	shift
	case $m in
	apt-get)
		export DEBIAN_FRONTEND=noninteractive
		# One dead source of many is no reason to stop; a package that is not found is.
		quietly apt-get -o DPkg::Lock::Timeout=300 update || true
		quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
		;;
	dnf) quietly dnf install -y --setopt=install_weak_deps=False "$@" ;;
	zypper) quietly zypper --non-interactive install --no-recommends "$@" ;;
	esac
}

# provide installs what of a table is not there.
provide() {
	local table=$1 lack names m packages
	lack=$(missing <<<"$table")
	[ -n "$lack" ] || return 0
	names=$(cut -d' ' -f1 <<<"$lack" | tr '\n' ' ')
	m=$(manager) || die "cannot install ${names% }: the machine has neither apt-get, dnf nor zypper; install them by hand"
	mapfile -t packages <<<"$(wanted "$m" <<<"$lack")"
	[ "$(id -u)" = 0 ] || die "not root, and these are missing: ${names% }; run it as root, or: $m install ${packages[*]}"
	echo "setup: $m install ${packages[*]}"
	install_packages "$m" "${packages[@]}" ||
		die "cannot install ${packages[*]}: $m failed, see above; mend its sources or network and run it again"
	lack=$(missing <<<"$table" | cut -d' ' -f1 | tr '\n' ' ')
	[ -z "$lack" ] || die "$m installed ${packages[*]}, but still missing: ${lack% }; install them by hand"
}

# sources prints "URI suite component..." for each enabled source of packages.
sources() {
	local file
	for file in "$apt"/sources.list.d/*.sources; do
		if [ -r "$file" ]; then cat "$file" && printf '\n\n'; fi
	done | awk '
		function flush(  n, m, i, uri, suite) {
			if (field["types"] ~ /(^| )deb( |$)/ && field["enabled"] !~ /no|false/) {
				n = split(field["uris"], uri, " ")
				m = split(field["suites"], suite, " ")
				if (n) for (i = 1; i <= m; i++) print uri[1], suite[i], field["components"]
			}
			split("", field)
		}
		/^#/ { next }
		/^[[:space:]]*$/ { flush(); next }
		/^[^[:space:]]/ { key = tolower($0); sub(/:.*/, "", key); sub(/^[^:]*:[[:space:]]*/, "") }
		{ sub(/^[[:space:]]+/, ""); field[key] = field[key] " " $0 }
		END { flush() }'
	for file in "$apt"/sources.list "$apt"/sources.list.d/*.list; do
		if [ -r "$file" ]; then cat "$file" && echo; fi
	done | sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?//p'
}

# mirror prints where this machine gets Debian from, and fails if it does not know.
mirror() {
	if [ -n "${DIGESTD_TEST_MIRROR-}" ]; then
		echo "$DIGESTD_TEST_MIRROR"
		return
	fi
	local apt=/etc/apt id='' codename='' uri suite components
	if [ -r /etc/os-release ]; then
		id=$(. /etc/os-release && echo "${ID-}")
		codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	fi
	if [ "$id" = debian ]; then
		while read -r uri suite components; do
			case " $components " in *" main "*) ;; *) continue ;; esac
			case $suite in "$codename" | stable | testing | unstable | sid) ;; *) continue ;; esac
			case $uri in
			mirror+file:*) read -r uri _ <"/${uri#mirror+file:*/}" ;;
			esac
			case $uri in
			http://* | https://* | file:/*)
				echo "$uri"
				return
				;;
			esac
		done <<<"$(sources)"
	fi
	return 1
}

# make_root builds the root of a release, complete or not at all.
make_root() {
	local release=$1 include=$2 archive=$3 dir=$cache/$1
	rm -rf --one-file-system "$dir.part"
	debootstrap --variant=minbase --include="$include" "$release" "$dir.part" "$archive" \
		"${DEBOOTSTRAP_DIR:-/usr/share/debootstrap}/scripts/sid" >"$dir.log" 2>&1 </dev/null || {
		tail -n 15 "$dir.log" >&2
		echo "setup: cannot make the root of $release from $archive: debootstrap failed, see above and $dir.log" >&2
		return 1
	}
	rm -f "$dir.part"/var/cache/apt/archives/*.deb
	echo "$include" >"$dir.part/$stamp"
	rm -rf --one-file-system "$dir"
	mv "$dir.part" "$dir"
}

# unmade prints the lines of roots that are not there as they should be.
unmade() {
	local release packages made
	while read -r release packages; do
		[ -n "$release" ] || continue
		made=
		[ ! -r "$cache/$release/$stamp" ] || read -r made <"$cache/$release/$stamp"
		[ "$made" = "$packages" ] || echo "$release $packages"
	done <<<"$roots"
}

make_roots() {
	[ -n "$(unmade)" ] || return 0
	[ "$(id -u)" = 0 ] || die "not root, and the roots of other releases are missing in $cache; run it as root"
	local archive
	archive=$(mirror) ||
		die "cannot make roots of other releases: apt on this machine names no Debian archive; set DIGESTD_TEST_MIRROR to the address of one"
	mkdir -p "$cache" || die "cannot make $cache: set DIGESTD_TEST_CACHE to a place with 2 GB of room"
	# What is started here holds the lock, too: should this script be killed, the
	# next one waits until nothing works on the roots any more.
	exec 9>"$cache/lock"
	flock -w 1800 9 || die "another setup has held $cache/lock for 30 minutes: see what it does"

	local release packages job failed=no
	local -a jobs=()
	while read -r release packages; do
		[ -n "$release" ] || continue
		echo "setup: making the root of $release in $cache/$release"
		make_root "$release" "$packages" "$archive" &
		jobs+=($!)
	done <<<"$(unmade)"
	for job in "${jobs[@]}"; do
		wait "$job" || failed=yes
	done
	[ "$failed" = no ] || exit 1
}

# get_promtool gets the checker of metrics and alerts, alone, where apt has the package that
# brings it: tests use it where it is. The server of that package is not installed.
get_promtool() {
	if command -v promtool >/dev/null || [ -x "$cache/promtool" ] || [ "$(manager)" != apt-get ] || [ ! -w "$cache" ]; then
		return
	fi
	local dir
	dir=$(mktemp -d)
	if (cd "$dir" && apt-get -q download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool) >"$dir/log" 2>&1; then
		install -m 0755 "$dir/promtool" "$cache/promtool"
	fi
	rm -rf "$dir"
}

cache=${DIGESTD_TEST_CACHE:-/var/cache/digestd-test}
stamp=.digestd-test-packages

case ${1-} in
build) provide "$level_build" ;;
rpm) provide "$level_build$level_rpm" ;;
demo) provide "$level_build$level_rpm$level_demo" ;;
lint) provide "$level_build$level_rpm$level_lint" ;;
programs) provide "$level_build$level_rpm$level_demo$level_lint$level_test" ;;
test)
	provide "$level_build$level_rpm$level_demo$level_lint$level_test"
	"$(dirname "$0")/vm/prepare.sh" &
	machine=$!
	"$(dirname "$0")/vm/guard/kernels.sh" &
	kernels=$!
	make_roots
	get_promtool
	wait "$kernels" || die "cannot get the kernels that tests boot: integration/vm/guard/kernels.sh failed, see above"
	wait "$machine" || die "cannot make the machine that tests boot: integration/vm/prepare.sh failed, see above"
	;;
*)
	echo "usage: $0 build|rpm|demo|lint|programs|test" >&2
	exit 2
	;;
esac
