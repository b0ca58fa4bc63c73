# SPDX-License-Identifier: Apache-2.0
"""dnf's plugin: asks digestd about a transaction before anything is downloaded, and
about the packages before any is installed.

What rpm itself then does, digestd hears from the plugin of rpm. Should this one
not be able to ask, that one still decides.
"""

import json
import logging
import subprocess

import dnf
import dnf.exceptions

HOOK = "/usr/libexec/digestd/digestd-hook"
REFUSED, AWAY = 3, 4  # its exit codes
PATIENCE = 60  # seconds; it has a shorter one itself

logger = logging.getLogger("dnf.plugin")


def describe(action, package, file=""):
    return {
        "action": action, "name": package.name, "epoch": str(package.e),
        "version": package.v, "release": package.r, "arch": package.a, "file": file,
    }


class Digestd(dnf.Plugin):
    name = "digestd"
    away = False

    def resolved(self):
        self.ask(lambda package: "")

    def pre_transaction(self):
        if not self.away:
            self.ask(lambda package: package.localPkg())

    def ask(self, file_of):
        transaction = self.base.transaction
        if not transaction:
            return
        packages = [describe("I", p, file_of(p)) for p in transaction.install_set]
        packages += [describe("E", p) for p in transaction.remove_set]
        code, said = self.hook("dnf4", json.dumps(packages))
        self.away = code == AWAY
        if code == REFUSED:
            raise dnf.exceptions.Error(said)

    def transaction(self):
        self.hook("changed", "")

    def hook(self, what, text):
        try:
            done = subprocess.run(
                [HOOK, what, self.base.conf.installroot], input=text, universal_newlines=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        except (OSError, subprocess.SubprocessError) as e:
            logger.warning("digestd: cannot be asked: %s", e)
            return None, ""
        if done.stderr:
            logger.warning("digestd: %s", done.stderr.strip())
        return done.returncode, done.stdout.strip()
