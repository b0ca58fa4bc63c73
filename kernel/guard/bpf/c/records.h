// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The records that the guard and user space exchange. Package guard has the same
// layouts in Go; a test compares both.
#pragma once
#include "kernel.h"

enum mode { OFF, AUDIT, ENFORCE };

// The request that a process made.
enum act { EXEC = 1, MAP, PROTECT, KERNEL_READ, KERNEL_LOAD, WRITE, UNSEAL };

enum reason {
	UNLISTED = 1, // no active list holds the content
	UNHASHED,     // the kernel gave no SHA-256
	WRITTEN,      // somebody could write to the file
	UNSTABLE,     // the file system can show other bytes each time (FUSE)
	UNKNOWN,      // nothing is known of the content where nothing can be hashed
	NO_MEMORY,
	IN_USE, // strict: the file is mapped, so that it cannot be written
	TOO_LARGE,
	NO_FILE, // the kernel was handed bytes, not a file
	SEALED,  // seal: only digestd-guard touches the guard
};

// Which layout a file of overlayfs has in private_data.
enum overlay { OVERLAY_UNKNOWN, OVERLAY_FILE, OVERLAY_STRUCT };

struct control {
	__u32 mode;
	__u32 strict;
	__u32 modules; // the mode for modules, firmware and kexec images, at most mode
	__u32 overlay;
	__u64 largest; // no listed file is larger; 0: not known
	__u64 until;   // ns of CLOCK_BOOTTIME, when ENFORCE becomes AUDIT by itself; 0: never
	__u32 exempt;  // containers of the cgroups in exempt_cgroups are let through
	__u32 host_mnt; // the mount namespace of the host, an inode number
	__u32 seal;
	__u32 unused;
};

struct counters {
	__u64 checks;
	__u64 cached;
	__u64 hashed;
	__u64 missed; // not listed, or not to be judged: refused or only told of
	__u64 refused;
	__u64 lost; // events for which there was no room
	__u64 exempted;
	__u64 voided; // digests that became void because somebody opened the file for writing
};

struct event {
	__u64 when; // ns since boot
	__u64 inode;
	__u64 cgroup;
	__u32 device;
	__u32 pid;
	__u32 parent;
	__u32 uid;
	__u8 act;
	__u8 reason;
	__u8 refused;
	__u8 hashed; // digest is that of the content
	__u32 path_length; // with its 0; 0: there is no path, or it is longer than path
	__u8 digest[32];
	char command[16];
	char path[384];
};

// Package guard reads these by number.
#define AT(record, field, offset) _Static_assert(__builtin_offsetof(struct record, field) == offset, #field)
#define SIZE(record, size) _Static_assert(sizeof(struct record) == size, #record)
SIZE(event, 480);
AT(event, when, 0);
AT(event, inode, 8);
AT(event, cgroup, 16);
AT(event, device, 24);
AT(event, pid, 28);
AT(event, parent, 32);
AT(event, uid, 36);
AT(event, act, 40);
AT(event, reason, 41);
AT(event, refused, 42);
AT(event, hashed, 43);
AT(event, path_length, 44);
AT(event, digest, 48);
AT(event, command, 80);
AT(event, path, 96);
