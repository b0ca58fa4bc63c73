#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# integration/vm/build.sh ROOT PROGRAMS OUT KEYRING OWNER [RELEASE]: what an image builder
# does. It makes digestd's packages of what is committed by the rpmbuild and the
# compiler of the tree at ROOT, but for the programs of Go, which are in PROGRAMS;
# signs them with OWNER's key in the GnuPG home KEYRING; installs them into the
# tree; and lays what that changed into OUT. ROOT itself is not touched.
#
# With RELEASE the packages are of that release and their programs other ones than those of
# another, and OUT gets the packages. Besides digestd's these are packages of what the machine
# cannot do without, made of the tree's own files.
set -euo pipefail
root=$1 programs=$2 out=$3 keyring=$4 owner=$5 release=${6-}
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'umount -l "$work/root/proc" "$work/root/dev" "$work/root" "$work" 2>/dev/null; rmdir "$work"' EXIT
mount -t tmpfs digestd-test "$work"

# lay UPPER: the tree at $work/root, of which what is written goes to UPPER.
lay() {
	umount -l "$work/root/proc" "$work/root/dev" "$work/root" 2>/dev/null || :
	mkdir -p "$work/root" "$1" "$1.work"
	mount -t overlay digestd-test -o "lowerdir=$root,upperdir=$1,workdir=$1.work" "$work/root"
	mount -t proc proc "$work/root/proc"
	mount --bind /dev "$work/root/dev"
}
in_root() { chroot "$work/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin LC_ALL=C HOME=/root "$@"; }

lay "$work/build"
mkdir "$work/root/sources"
systemd/build-rpm.sh sources "$work/root/sources/files" >/dev/null
cp -r "$programs" "$work/root/sources/programs"
if [ -n "$release" ]; then
	sed -i "s/^Release:.*/Release: $release/" "$work/root/sources/files/digestd.spec"
	for program in "$work/root/sources/programs/"*; do echo "$release" >>"$program"; done
fi
# make's GO, where there is none.
cat >"$work/root/sources/go" <<'END'
#!/bin/sh
mkdir -p bin
for last; do name=${last##*/}; case $last in ./cmd/*) cp "/sources/programs/$name" bin/ || exit 1 ;; esac; done
END
chmod +x "$work/root/sources/go"
build() {
	in_root GO=/sources/go rpmbuild -bb --nodeps --define '_topdir /sources/top' --define '_sourcedir /sources/files' \
		--define '_rpmdir /sources/rpm' --define '_rpmfilename %%{NAME}.rpm' --define '_binary_payload w1.gzdio' \
		"$@" >"$work/log" 2>&1 </dev/null || {
		tail -n 40 "$work/log" >&2
		exit 1
	}
}
build --without dnf5 --without selinux /sources/files/digestd.spec

# own NAME POST PACKAGE...: a package of the programs and libraries of packages of the tree. Each
# ends in the release, which changes its content and nothing that it does.
own() {
	local name=$1 post=$2
	shift 2
	(cd "$root/var/lib/dpkg/info" && cat "${@/%/.list}") | while read -r file; do
		file=$(realpath -m --relative-base="$root" "$root$file")
		[ -f "$root/$file" ] && [ ! -L "$root/$file" ] || continue
		case $file in /* | *gconv* | *hwdb* | usr/share/*) continue ;; esac
		[ "$(head -c 4 "$root/$file" | tail -c 3 | tr -d '\0')" = ELF ] && echo "/$file" || :
	done | sort -u >"$work/root/sources/$name.list"
	cat >"$work/root/sources/$name.spec" <<-END
		Name: $name
		Version: 1
		Release: $release
		Summary: What the tree has
		License: None
		AutoReqProv: no
		%global debug_package %{nil}
		%global __os_install_post %{nil}
		%define _build_id_links none
		%description
		What the tree has.
		%install
		while read -r file; do
			mkdir -p "%{buildroot}\$(dirname "\$file")"
			cp -p "\$file" "%{buildroot}\$file"
			echo "$release" >>"%{buildroot}\$file"
		done </sources/$name.list
		%post $post
		%files -f /sources/$name.list
	END
	build "/sources/$name.spec"
}
if [ -n "$release" ]; then
	own glibc '-p /usr/sbin/ldconfig' libc6:amd64
	own bash $'-p /usr/bin/bash\necho "$BASH_VERSION" >/var/tmp/bash-post' bash
	own rpm $'\nrpm --version >/var/tmp/rpm-post' rpm librpm10:amd64 librpmio10:amd64
	own systemd $'\nsystemctl daemon-reexec' systemd libsystemd0:amd64 libsystemd-shared:amd64 udev
fi
mkdir "$work/packages"
cp "$work/build/sources/rpm/"*.rpm "$work/packages"
GNUPGHOME=$keyring rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $owner" --define "_gpg_path $keyring" \
	--addsign "$work/packages/"*.rpm >/dev/null

if [ -n "$release" ]; then
	mkdir -p "$out"
	cp "$work/packages/"*.rpm "$out"
	gpg --homedir "$keyring" --batch --armor --export "$owner" >"$out/key.asc"
	exit
fi

lay "$work/image"
mkdir "$work/root/packages"
cp "$work/packages/"*.rpm "$work/root/packages"
gpg --homedir "$keyring" --batch --armor --export "$owner" >"$work/root/packages/key.asc"
in_root rpm --import /packages/key.asc
# Debian's own packages are not rpm's.
in_root sh -c 'rpm -U --nodeps /packages/*.rpm' </dev/null
rm -r "$work/root/packages"
mkdir -p "$out"
cp -a "$work/image/." "$out"
