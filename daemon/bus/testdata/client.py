# SPDX-License-Identifier: Apache-2.0
"""Talks to digestd by the bindings of GLib: client.py ADDRESS.

Prints what Status, Lists, Why and a property say as JSON, then a line when it
listens, then the first signal it hears.
"""
import json
import sys

from gi.repository import Gio, GLib

NAME, PATH, MANAGER = "org.digestd1", "/org/digestd1", "org.digestd1.Manager"

bus = Gio.DBusConnection.new_for_address_sync(
    sys.argv[1],
    Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
    None, None)
digestd = Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.NONE, None, NAME, PATH, MANAGER, None)
answers = {
    "status": digestd.Status(),
    "lists": digestd.Lists("(suu)", "", 0, 1),
    "why": digestd.Why("(s)", "/usr/bin/true"),
    "mode": digestd.get_cached_property("Mode").unpack(),
}
try:
    digestd.Lists("(suu)", "", 0, 1000000)
except GLib.Error as error:
    answers["refused"] = Gio.DBusError.get_remote_error(error)
print(json.dumps(answers))

loop = GLib.MainLoop()


def heard(proxy, sender, signal, arguments):
    print(json.dumps([signal, arguments.unpack()]), flush=True)
    loop.quit()


digestd.connect("g-signal", heard)
# What the bus was told before, it knows once this has an answer.
bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping", None, None, 0, -1, None)
print("listening", flush=True)
loop.run()
