// SPDX-License-Identifier: Apache-2.0

// Package failpoint names the instants at which tests stop the daemon dead, to
// prove that a start afterwards finds its way, and what tests have the kernel
// say. In a build without the tag "failpoint" there is nothing to switch on and a
// Hit costs nothing.
package failpoint
