#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# libzypp's commit plugin: asks digestd about a transaction before anything is
# changed. libzypp runs it without arguments. If the hook is not there, libzypp
# goes on without it, and rpm's plugin decides.
exec /usr/libexec/digestd/digestd-hook zypp /
