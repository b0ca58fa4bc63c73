# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Many packages at once, twice; the power fails somewhere in between.
. /test/lib.sh

check "rpm imports the vendor's key" rpm --import /test/vendor.asc
check "rpm installs one package" rpm -U /test/packages/hello-2.0-1.noarch.rpm
sync
check "rpm installs many" rpm -U /test/packages/bulk*-1.0-1.noarch.rpm
same "all have lists" "$(expected)" "$(lists)"
sync
check "rpm upgrades them" rpm -U /test/packages/bulk*-2.0-1.noarch.rpm
end
