#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# integration/tutorial.sh [OUT]: what docs/tutorial.md takes for granted, in OUT
# (bin/tutorial): two versions of a package, tool, that a vendor signed, and the vendor's
# key, vendor.asc. The key is made for this and thrown away.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1-bin/tutorial}")
top=$(mktemp -d)
export GNUPGHOME=$top/gnupg
trap 'gpgconf --kill all; rm -rf "$top"' EXIT

mkdir -m 0700 "$GNUPGHOME"
mkdir -p "$out"
{
	gpg --batch --passphrase '' --quick-generate-key Vendor rsa3072 sign never
	gpg --armor --export Vendor >"$out/vendor.asc"
	for version in 1 2; do
		cat >"$top/tool.spec" <<-SPEC
			Name: tool
			Version: $version
			Release: 1
			Summary: A tool
			License: None
			BuildArch: noarch
			AutoReqProv: no
			%description
			A tool.
			%install
			install -d %{buildroot}/usr/bin
			printf '#!/bin/sh\necho version $version\n' >%{buildroot}/usr/bin/tool
			chmod 0755 %{buildroot}/usr/bin/tool
			%files
			/usr/bin/tool
		SPEC
		rpmbuild -bb --nodeps --define "_topdir $top" --define "_rpmdir $out" --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' "$top/tool.spec"
		rpmsign --define '_gpg_name Vendor' --define "__gpg $(command -v gpg)" --addsign "$out/tool-$version-1.noarch.rpm"
	done
} >"$top/log" 2>&1 </dev/null || {
	cat "$top/log" >&2
	exit 1
}
ls "$out"
