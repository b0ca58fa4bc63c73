// SPDX-License-Identifier: Apache-2.0

// Package vm_test boots a whole machine, a Debian with its own kernel and
// systemd, with digestd installed from its own packages, and looks how that
// goes: from the first boot to a power cut.
//
// It promises that nothing in the machine is imitated: what a script in testdata finds there is
// what an administrator would. Disks are thrown away with the test. Tests that need no kernel,
// no service manager and no reboot are in integration/system, which is a hundred times faster.
package vm_test
