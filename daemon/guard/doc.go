// SPDX-License-Identifier: Apache-2.0

// Package guard speaks between digestd, which knows what active lists hold, and
// digestd-guard, which has the capabilities to tell the kernel. [Client] is digestd's
// side, [Server] that of digestd-guard, [Log] sums up what the kernel refused.
//
// It promises that no input makes it panic or hold more memory than one frame has
// bytes, that only root is served, and that every wait for the rest of a frame or for
// an answer ends. A change that was answered with success is in the kernel: the next
// exec sees it. Nothing of it is on a disk: it lasts until the machine goes off, also when
// digestd and digestd-guard end. After a restart the number of the commit tells whether the
// kernel agrees with the index.
//
// It links nothing that loads programs into the kernel: package kernel/guard/bpf does,
// which digestd never imports.
package guard
