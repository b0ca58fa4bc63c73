// SPDX-License-Identifier: Apache-2.0

// Package look finds the facts that a question about a file needs: where the file is, to which
// list it is bound, and the digests of its content.
//
// It reads only regular files on file systems that store data, never files that the kernel makes
// up, and it has the rights of its process. The daemon uses a [Pool] of processes, for two
// reasons: a slow file delays nobody else, and closing a file releases no lock that the daemon
// has on the same file (POSIX locks belong to the process, see fcntl(2)). digestctl looks in its
// own process.
//
// The caller interprets the answers.
package look

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"
	"sync"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// maxRead bounds the files that are read, in bytes; verify reads larger ones.
const maxRead = 4 << 30

// Kind is the kind of file to which a path leads.
type Kind string

// The kinds.
const (
	Regular    Kind = "regular"
	Missing    Kind = "missing"     // there is no file
	NotRegular Kind = "not-regular" // a directory, device, socket, pipe
	MadeUp     Kind = "made-up"     // the kernel makes it up, as files in /proc
)

// File describes a file.
type File struct {
	Kind    Kind
	Real    []byte // its path with links followed, as seen from outside the root; only for regular files
	Label   string // the list to which it is bound
	Digests map[digestlist.Algo][]byte
}

// At examines the file at path inside the root, following links, and reads it once for all
// digests. The error is fs.ErrPermission if the process may not read it.
func At(ctx context.Context, root *kernel.Root, path string, algos ...digestlist.Algo) (found File, err error) {
	file, err := root.Find(path, true)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return File{Kind: Missing}, nil
	case errors.Is(err, kernel.ErrNotRegular):
		return File{Kind: NotRegular}, nil
	case err != nil:
		return found, fmt.Errorf("cannot look up %s: %w", path, err)
	}
	defer file.Close()
	kind, err := file.FileSystem()
	if err != nil {
		return found, fmt.Errorf("cannot look up %s: %w", path, err)
	}
	if slices.Contains(madeUp, kind) {
		return File{Kind: MadeUp}, nil
	}
	real, err := file.Path()
	if err != nil {
		return found, fmt.Errorf("cannot look up %s: %w", path, err)
	}
	found = File{Kind: Regular, Real: []byte(real)}
	if found.Label, err = file.Label(); err != nil {
		return found, fmt.Errorf("cannot look up %s: %w", path, err)
	}
	if found.Digests, err = digests(ctx, file, algos); err != nil {
		return found, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return found, nil
}

// madeUp are the magic numbers of file systems whose files the kernel makes up (statfs(2),
// linux/magic.h).
var madeUp = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC,
	unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.BPF_FS_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC, unix.NSFS_MAGIC, unix.SOCKFS_MAGIC, unix.PIPEFS_MAGIC, unix.ANON_INODE_FS_MAGIC,
	unix.BINFMTFS_MAGIC, unix.RDTGROUP_SUPER_MAGIC, unix.AUTOFS_SUPER_MAGIC, unix.DAXFS_MAGIC,
	0x62656570, // configfs
	0x65735543, // fusectl
	0x19800202, // mqueue
	0x67596969, // rpc_pipefs
	0x5a3c69f0, // apparmorfs
	0x50494446, // pidfs
}

// buffers holds buffers for reading files. Without it, most of the garbage of a process that
// answers many questions would be such buffers.
var buffers = sync.Pool{New: func() any { buf := make([]byte, 64<<10); return &buf }}

func digests(ctx context.Context, file *kernel.File, algos []digestlist.Algo) (map[digestlist.Algo][]byte, error) {
	if file.Stat.Size > maxRead {
		return nil, fmt.Errorf("it has %d bytes; the limit for this request is %d", file.Stat.Size, int64(maxRead))
	}
	hashes := map[digestlist.Algo]hash.Hash{}
	for _, algo := range algos {
		if algo.Hash() == 0 {
			return nil, fmt.Errorf("no list has digests by %s", algo)
		}
		hashes[algo] = algo.Hash().New()
	}
	left := int64(maxRead) // the file may grow
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	err := file.Content(*buf, func(piece []byte) error {
		for _, h := range hashes {
			h.Write(piece)
		}
		if left -= int64(len(piece)); left < 0 {
			return fmt.Errorf("it has more than %d bytes, the limit for this request", int64(maxRead))
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	sums := make(map[digestlist.Algo][]byte, len(hashes))
	for algo, h := range hashes {
		sums[algo] = h.Sum(nil)
	}
	return sums, nil
}
