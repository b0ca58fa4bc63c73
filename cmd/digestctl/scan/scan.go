// SPDX-License-Identifier: Apache-2.0

// Package scan finds the files of an own list and hashes them, on all processors, into the body
// of the list.
//
// The same files give the same bytes, in whatever order their digests arrive. Memory grows only
// with the paths that the caller gave one by one, not with the number or size of files. A scan
// of a tree follows no link out of it and enters no other file system. No file gets a digest of
// an intermediate state. The package reports each file that it cannot hash, and the caller
// decides whether to publish the list without it.
package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// Options describe a scan. Paths are absolute and clean.
type Options struct {
	Root    string   // of the tree to which paths are relative; files outside are refused
	Trees   []Tree   // files, or directories with all their files
	Listed  []string // single files; a symbolic link is not one
	Algo    digestlist.Algo
	MaxSize int64 // size limit of a file; larger files are reported

	// Expected are the digests that files must have, by their path as given in
	// Listed: others are told of.
	Expected map[string]Expectation
	// Skipped hears of what belongs into the list but could not be hashed, from one
	// goroutine at a time.
	Skipped func(path string, err error)
	// Report hears how many files are done, from one goroutine at a time.
	Report func(files int, bytes int64)
}

// Tree is a file or a directory.
type Tree struct {
	Path   string
	Chroot string // inside of which Path is looked up; "" for /
}

// Result is the result of a scan.
type Result struct {
	Files   int
	Bytes   int64
	Skipped int      // files reported to Options.Skipped
	Roots   []string // the real paths of Trees, as the list has them
}

var (
	// ErrChanging is that a file changed each time while it was hashed.
	ErrChanging = errors.New("it changes while it is hashed")
	// ErrDiffers is that a file is not what it was expected to be.
	ErrDiffers = errors.New("it is not what it was when it was measured")
	// ErrNotRegular is that a path leads neither to a file nor to a directory.
	ErrNotRegular = errors.New("not a regular file")
	// ErrOutside is that a path is not below Options.Root.
	ErrOutside = errors.New("outside of the root that digestd keeps")
)

// job is one file on its way to the list, in the order of the list.
type job struct {
	path string // path in the list
	fd   int    // of the file, -1 if it could not be opened
	size int64
	want *Expectation
	sum  []byte
	err  error
	done chan struct{}
}

// Write scans, and writes the body of a list to out. After an error the output is useless.
func Write(parent context.Context, o Options, out io.WriterAt) (r Result, err error) {
	ctx, cancel := context.WithCancel(parent)
	workers := runtime.GOMAXPROCS(0)
	// As many files may be open at once as there are jobs: enough that a large one
	// does not hold up the others.
	ordered := make(chan *job, 16*workers)
	todo := make(chan *job, 16*workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			buf := make([]byte, 256<<10)
			for j := range todo {
				if j.err == nil {
					j.sum, j.err = hashFile(ctx, j.fd, o, j.want, buf)
				}
				if j.fd >= 0 {
					unix.Close(j.fd)
				}
				close(j.done)
			}
		})
	}
	w := &walker{ctx: ctx, o: o, emit: func(j *job) {
		j.done = make(chan struct{})
		ordered <- j
		todo <- j
	}}
	var walkErr error
	group.Go(func() {
		walkErr = w.walk()
		close(todo)
		close(ordered)
	})
	r, err = collect(ctx, o, ordered, out)
	cancel()
	for j := range ordered {
		<-j.done
	}
	group.Wait()
	r.Roots = w.roots
	switch {
	case parent.Err() != nil:
		return r, parent.Err()
	case walkErr != nil && !errors.Is(walkErr, context.Canceled):
		return r, walkErr
	}
	return r, err
}

// collect writes the entries in their order.
func collect(ctx context.Context, o Options, ordered <-chan *job, out io.WriterAt) (r Result, err error) {
	head, err := digestlist.AppendTLVHead(nil, o.Algo, 0)
	if err != nil {
		return r, err
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(out, 0), 1<<20)
	w.Write(head)
	var entry []byte
	for j := range ordered {
		select {
		case <-j.done:
		case <-ctx.Done():
			return r, ctx.Err()
		}
		if j.err == nil {
			entry, j.err = digestlist.AppendTLVEntry(entry[:0], o.Algo, digestlist.Entry{Digest: j.sum, Path: j.path})
		}
		if j.err != nil {
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			r.Skipped++
			o.Skipped(j.path, j.err)
			continue
		}
		if _, err := w.Write(entry); err != nil {
			return r, fmt.Errorf("cannot write list: %w", err)
		}
		r.Files++
		r.Bytes += j.size
		o.Report(r.Files, r.Bytes)
	}
	if err := w.Flush(); err != nil {
		return r, fmt.Errorf("cannot write list: %w", err)
	}
	if r.Files == 0 {
		return r, digestlist.ErrEmpty
	}
	_, err = out.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(r.Files)), int64(len(head)-4))
	return r, err
}

// listed turns a path of this machine into one as it is listed.
func (o Options) listed(path string) (string, error) {
	root := strings.TrimSuffix(filepath.Clean(o.Root), "/")
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest == "" || rest[0] != '/' {
		return path, fmt.Errorf("%w (%s)", ErrOutside, o.Root)
	}
	return rest, nil
}

// outermost sorts paths and leaves out those inside of another.
func outermost(paths []string) []string {
	slices.SortFunc(paths, comparePaths)
	var out []string
	for _, p := range paths {
		if n := len(out); n > 0 && inside(out[n-1], p) {
			continue
		}
		out = append(out, p)
	}
	return out
}

func inside(tree, path string) bool {
	return tree == path || tree == "/" || strings.HasPrefix(path, tree) && path[len(tree)] == '/'
}

// comparePaths orders a directory before what is in it, and that before what is
// named after it.
func comparePaths(a, b string) int {
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}
