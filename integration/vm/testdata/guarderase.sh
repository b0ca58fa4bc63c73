# SPDX-License-Identifier: Apache-2.0
# digestd's packages are removed under enforce: nothing is refused any more.
. /test/guard.sh

check "the guard enforces" enforces
check "what no list holds is refused" refused /usr/local/bin/unlisted
check "rpm removes digestd" rpm -e digestd rpm-plugin-digestd python3-dnf-plugin-digestd
check "everything runs" /usr/local/bin/unlisted
same "nothing is left in the kernel" "" "$(ls /sys/fs/bpf)"
same "and no unit" "inactive" "$(systemctl is-active digestd-guard)"
end
