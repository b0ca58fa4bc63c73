# SPDX-License-Identifier: Apache-2.0
#
# What scripts report with. The second serial line leads out of the machine:
# "ok NAME", "failed NAME" with "| line" below, "fact TEXT", "marker NAME", and
# "end COUNT" when the script came to its end.
set -u
exec 3>/dev/ttyS1
export LC_ALL=C
count=0

report() { # report ok|failed NAME [TEXT]
	count=$((count + 1))
	printf '%s %s\n' "$1" "$2" >&3
	[ "$1" = ok ] || printf '%s\n' "${3-}" | tail -n 40 | sed 's/^/| /' >&3
}
fact() { printf 'fact %s\n' "$*" >&3; }
marker() { printf 'marker %s\n' "$*" >&3; }
end() { printf 'end %s\n' "$count" >&3; }

# check NAME COMMAND...: it succeeds.
check() { ends 0 "$@"; }

# ends STATUS NAME COMMAND...: it ends with that status.
ends() {
	local want=$1 name=$2 out got=0
	shift 2
	out=$("$@" 2>&1) || got=$?
	if [ "$got" = "$want" ]; then
		report ok "$name"
	else
		report failed "$name" "$* ended with $got, not $want:
$out"
	fi
}

# says PATTERN NAME COMMAND...: what it prints matches, however it ends.
says() {
	local pattern=$1 name=$2 out
	shift 2
	out=$("$@" 2>&1)
	if grep -Eq -- "$pattern" <<<"$out"; then
		report ok "$name"
	else
		report failed "$name" "$* does not say $pattern:
$out"
	fi
}

# same NAME WANT GOT
same() {
	if [ "$2" = "$3" ]; then
		report ok "$1"
	else
		report failed "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"
	fi
}

# soon NAME COMMAND...: it succeeds within two minutes.
soon() {
	local name=$1 out
	shift
	for _ in $(seq 240); do
		if out=$("$@" 2>&1); then
			report ok "$name"
			return
		fi
		sleep 0.5
	done
	report failed "$name" "$* never succeeded:
$out
$(journalctl -b -u digestd -o cat | tail -n 20)"
}

# logged PATTERN ARG...: the journal of this boot says it, of what ARG selects. An entry gets there a
# moment after it was written, and a file that journald has just made cannot be read yet: wait for it.
logged() {
	local pattern=$1
	shift
	journalctl -b -o cat "$@" | grep -Eq -- "$pattern"
}

# lists are the names in the list directory; expected is what rpm's database
# says they should be. Both are without those of digestd's own packages, which are
# there from the first boot.
lists() { ls /etc/digest_lists | grep -v digestd; }
expected() {
	rpm -qa --qf '%{name} tlv-%{name}-%|epoch?{%{epoch}}:{0}|:%{version}-%{release}.%{arch}\n' | sed -n '/^gpg-pubkey /!s/^[^ ]* //p' | grep -v digestd | sort
}
label() { getfattr --absolute-names --only-values -n security.digest_list "$1" | tr -d '\0'; }
