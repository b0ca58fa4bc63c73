#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job, on real packages, in a sandbox that is thrown away: own rpm
# root, own D-Bus, own directories. With --keep the sandbox stays.
set -euo pipefail

keep=no
case ${1-} in
"") ;;
--keep) keep=yes ;;
*) echo "usage: $0 [--keep]" >&2; exit 2 ;;
esac

top=$(cd "$(dirname "$0")/.." && pwd)
if [ "$(id -u)" != 0 ]; then
	echo "demo: labels are attributes that only root may write; run it as root" >&2
	exit 1
fi
box=$(mktemp -d "${TMPDIR:-/var/tmp}/digestd-demo.XXXXXX")
daemon=
bus=

finish() {
	status=$?
	trap - EXIT INT TERM
	if [ "$status" != 0 ]; then
		printf '\n%sThe demo did not go as it should (exit %s). The log of digestd:%s\n' "$red" "$status" "$plain" >&2
		cat "$box/digestd.log" >&2 2>/dev/null || true
	elif [ "$keep" = yes ]; then
		say "The sandbox stays, with digestd running. To play with it:"
		printf '    export PATH=%s/bin:$PATH\n    rpm -qa; digestctl status; rpm -U %s/*.rpm; digestctl list\n' "$box" "$box/packages"
		printf '  and to end it:\n    kill %s %s; rm -rf %s\n' "$daemon" "$bus" "$box"
		exit 0
	fi
	[ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null || true
	[ -z "$bus" ] || { kill "$bus" && wait "$bus"; } 2>/dev/null || true
	GNUPGHOME=$box/gnupg gpgconf --kill all 2>/dev/null || true
	rm -rf "$box"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' red='' plain=''
fi
chapter() { printf '\n%s── %s %s\n' "$bold" "$*" "$plain"; }
say() { printf '\n%s%s%s\n' "$dim" "$*" "$plain"; }
# show runs a command as a person would see it: the line, then what it says.
show() {
	local line='' word
	for word; do
		case $word in *[\ \"]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
	done
	printf '%s$%s%s\n' "$bold" "$line" "$plain"
	(cd "$box" && "$@") 2>&1 | sed "s|$box/||g; s|$box|.|g; s/^/  /"
	return "${PIPESTATUS[0]}"
}
# expect runs a command that must end with that exit status.
expect() {
	want=$1
	shift
	got=0
	show "$@" || got=$?
	if [ "$got" != "$want" ]; then
		echo "demo: $* ended with $got, not with $want" >&2
		exit 1
	fi
}
# until_ok waits, at most five seconds, for something to come true.
until_ok() {
	for _ in $(seq 100); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.05
	done
	echo "demo: gave up waiting for: $*" >&2
	return 1
}

quietly() { "$@" >"$box/tool.log" 2>&1 || { cat "$box/tool.log" >&2; return 1; }; }

prepare() {
	mkdir -p "$box"/{bin,packages,root,etc,state,run,build} && mkdir -m 700 "$box/gnupg"
	export GNUPGHOME=$box/gnupg
	quietly gpg --batch --passphrase '' --quick-generate-key 'Demo Distribution <security@example.org>' rsa3072 sign never
	gpg --armor --export >"$box/distribution.asc" 2>/dev/null
	for version in 1.0 2.0; do
		cat >"$box/build/hello.spec" <<-SPEC
			Name: hello
			Version: $version
			Release: 1
			Summary: A greeting
			License: Apache-2.0
			BuildArch: noarch
			%description
			A greeting.
			%install
			mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/hello
			printf '#!/bin/sh\necho hello, version $version\n' >%{buildroot}/usr/bin/hello
			echo 'greeting $version' >%{buildroot}/usr/share/hello/text
			%files
			%attr(755,root,root) /usr/bin/hello
			/usr/share/hello
		SPEC
		quietly rpmbuild -bb --define "_topdir $box/build" --define "_rpmdir $box/packages" --define '_rpmfilename %%{NVRA}.rpm' \
			--define '_build_id_links none' --define '__brp_python_bytecompile %{nil}' --nodeps "$box/build/hello.spec"
	done
	quietly rpmsign --define "__gpg $(command -v gpg)" --define '_gpg_name Demo Distribution' --define "_gpg_path $GNUPGHOME" --addsign "$box"/packages/*.rpm

	# Debian's rpm warns of that, unless an option says not to.
	quiet=
	if rpm --force-debian --version >/dev/null 2>&1; then quiet=--force-debian; fi
	cat >"$box/bin/rpm" <<-SH
		#!/bin/sh
		case \$1 in -i|-U|-e) set -- "\$@" $quiet ;; esac
		exec rpm --root "$box/root" --define '_dbpath /var/lib/rpm' --define '_keyring rpmdb' --define '__plugindir $top/bin' \\
			--define '__transaction_digestd $top/bin/digestd.so socket=$box/run/hook.sock' "\$@"
	SH
	cat >"$box/bin/digestctl" <<-SH
		#!/bin/sh
		exec "$top/bin/digestctl" --bus "unix:path=$box/run/bus" "\$@"
	SH
	sed -i "s|exec rpm |exec $(command -v rpm) |" "$box/bin/rpm"
	chmod 755 "$box"/bin/*
	export PATH=$box/bin:$PATH
	rpm --initdb
	rpm --import "$box/distribution.asc"

	cat >"$box/etc/bus.conf" <<-XML
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
		  <listen>unix:path=$box/run/bus</listen>
		  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
		</busconfig>
	XML
	# With --keep, the bus and digestd stay; they hold nothing open that the caller waits for.
	dbus-daemon --config-file="$box/etc/bus.conf" --nofork --nopidfile </dev/null >"$box/bus.log" 2>&1 &
	bus=$!
	cat >"$box/etc/digestd.conf" <<-CONF
		root = "$box/root"
		dbpath = "/var/lib/rpm"
		state = "$box/state"
		lists = "$box/etc/digest_lists"
		keys = "$box/etc/keys.d"
		socket = "$box/run/hook.sock"
		bus = "unix:path=$box/run/bus"
		audit-trail = "none"
	CONF
	until_ok test -S "$box/run/bus"
	"$top/bin/digestd" -config "$box/etc/digestd.conf" </dev/null >"$box/digestd.log" 2>&1 &
	daemon=$!
	until_ok digestctl status
}

lists() { ls "$box/etc/digest_lists"; }

chapter "A machine that trusts a distribution's key, and has no package yet"
prepare
expect 0 digestctl status

chapter "Install: the list is there before the package's first file"
expect 0 rpm -i packages/hello-1.0-1.noarch.rpm
expect 0 ls etc/digest_lists
say "Every file names its list; this is what the kernel reads."
expect 0 getfattr -n security.digest_list root/usr/bin/hello
expect 0 digestctl why root/usr/bin/hello

chapter "Upgrade: the old version's list goes with it"
expect 0 rpm -U packages/hello-2.0-1.noarch.rpm
expect 0 ls etc/digest_lists

chapter "Back to the old version: refused before anything is touched"
expect 1 rpm -U --oldpackage packages/hello-1.0-1.noarch.rpm
expect 0 rpm -q hello

chapter "The owner may: exactly this version, once, with a reason on record"
expect 0 digestctl rollback grant hello-1.0-1.noarch --reason "2.0 greets too loudly"
expect 0 rpm -U --oldpackage packages/hello-1.0-1.noarch.rpm
expect 0 digestctl show hello
expect 0 digestctl rollback log

chapter "Another program changes the list directory"
cp -p "$box/etc/digest_lists/tlv-hello-0:1.0-1.noarch" "$box/stolen"
expect 0 cp stolen etc/digest_lists/tlv-evil-0:1-1.noarch
expect 0 tee -a etc/digest_lists/tlv-hello-0:1.0-1.noarch <<<altered
say "Both are put aside, and what was altered is published anew."
quarantined() { [ "$(find "$box/etc/digest_lists.quarantine" -type f | wc -l)" = 2 ]; }
republished() { cmp -s <(lists) <(echo tlv-hello-0:1.0-1.noarch) && digestctl why "$box/root/usr/bin/hello"; }
until_ok quarantined
until_ok republished
expect 0 digestctl list
expect 3 digestctl status

chapter "A file that was altered"
expect 0 tee -a root/usr/bin/hello <<<'echo gotcha'
expect 3 digestctl why root/usr/bin/hello

chapter "Remove: nothing of it is vouched for any more"
expect 0 rpm -e hello
expect 0 digestctl list active
[ -z "$(lists)" ] || { echo "demo: a list is left: $(lists)" >&2; exit 1; }

chapter "That was all"
