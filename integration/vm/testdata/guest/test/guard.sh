# SPDX-License-Identifier: Apache-2.0
#
# What scripts about the guard share.
. /test/lib.sh

# refused COMMAND...: the guard refuses it.
refused() { ! "$@" >/var/tmp/out 2>&1 && grep -q 'Operation not permitted' /var/tmp/out; }
# list_machine: all that the machine runs is listed; without what only a compiler needs, for
# that takes its time.
list_machine() {
	find /usr -xdev -type f \( -perm /111 -o -name '*.so*' \) -size -60M ! -name 'x86_64-linux-gnu-*' ! -name '*perl*' ! -path '*/gcc*' \
		! -name 'lib*san.so*' ! -path '*gprofng*' ! -name 'libisl*' ! -name 'libapt*' ! -name 'libbfd*' ! -name '*lto*' |
		digestctl own add machine --reason test -
}
guard_says() { digestctl guard status | grep -Eq -- "$1"; }
agrees() { guard_says "digests +[1-9][0-9]*, of the index.s commit [1-9]"; }
enforces() { guard_says '^the guard is in mode enforce$'; }
# settled: digestd has told the guard of all that its lists hold.
settled() { agrees && ! digestctl status 2>&1 | grep -Eq '^(digestctl|error|warning|notice): .*(cannot|could not|nobody)'; }
# kept: the snapshot is of the commit with which the guard agrees, and was enforced.
kept() {
	local at
	at=$(digestctl guard status | sed -n 's/.*of the index.s commit \([1-9][0-9]*\)$/\1/p')
	[ -n "$at" ] && [ "$(dd if=/var/lib/digestd/guard.snapshot bs=1 skip=16 count=12 2>/dev/null | od -An -v -tx1 | tr -d ' \n')" = "$(printf %016x00000001 "$at")" ]
}
problem() { digestctl status | grep -q -- "$1"; }
# none NAME: no refusal is known but of the programs of these tests.
none() { same "$1" "" "$(digestctl guard denials | grep -E '^[^ ].*: .* refused' | grep -Ev '^(/usr/local/bin/unlisted|/usr/bin/hello): ')"; }
