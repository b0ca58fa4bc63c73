// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // the driver
)

// Shape is what a database holds.
type Shape struct {
	Packages int    // besides the key that signs them
	Files    int    // of all packages together, at least one for each
	Bits     int    // of the key: 4096 in most distributions
	Seed     uint64 // another one gives other packages of the same proportions
	Tree     bool   // write the files, too
}

// Summary is what was written.
type Summary struct {
	Packages, Files int
	Bytes           int64    // of all headers
	Paths           []string // of regular files that have a digest, if the shape has a tree
}

// maxFiles bounds one package: the largest of distributions have some more.
const maxFiles = 8000

// Write fills the empty database of root.
func Write(ctx context.Context, root *pkgtest.Root, s Shape) (Summary, error) {
	key, err := pkgtest.NewKey("distribution", s.Bits)
	if err != nil {
		return Summary{}, err
	}
	if err := root.Import(key); err != nil {
		return Summary{}, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root.Database(), "rpmdb.sqlite"))
	if err != nil {
		return Summary{}, err
	}
	defer db.Close()
	sum, err := insert(ctx, db, root, s, key)
	if err != nil {
		return sum, fmt.Errorf("cannot write rpm's database: %w", err)
	}
	if err := db.Close(); err != nil {
		return sum, err
	}
	// rpm writes everything anew, and all its indexes.
	return sum, root.Run("--rebuilddb")
}

func insert(ctx context.Context, db *sql.DB, root *pkgtest.Root, s Shape, key *pkgtest.Key) (sum Summary, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return sum, err
	}
	defer tx.Rollback()
	add, err := tx.PrepareContext(ctx, `INSERT INTO Packages (blob) VALUES (?)`)
	if err != nil {
		return sum, err
	}
	defer add.Close()
	for p, err := range produce(ctx, root, s, key) {
		if err != nil {
			return sum, err
		}
		if _, err := add.ExecContext(ctx, p.blob); err != nil {
			return sum, err
		}
		sum.Packages++
		sum.Files += len(p.files)
		sum.Bytes += int64(len(p.blob))
		for _, f := range p.files {
			if s.Tree && f.digest != "" {
				sum.Paths = append(sum.Paths, f.path())
			}
		}
	}
	return sum, tx.Commit()
}

// produce yields the packages in their order, made on all processors.
func produce(ctx context.Context, root *pkgtest.Root, s Shape, key *pkgtest.Key) func(yield func(generated, error) bool) {
	return func(yield func(generated, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		group, ctx := errgroup.WithContext(ctx)
		workers := runtime.GOMAXPROCS(0)
		made := make([]chan generated, workers) // package n comes through n modulo workers
		sizes := spread(s)
		for w := range workers {
			made[w] = make(chan generated, 4)
			group.Go(func() error {
				defer close(made[w])
				for n := w; n < s.Packages; n += workers {
					p, err := build(s, n, sizes[n], key)
					for i := range p.files {
						if err == nil && s.Tree {
							err = p.files[i].write(root.Dir)
						}
					}
					if err != nil {
						return err
					}
					select {
					case made[w] <- p:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				return nil
			})
		}
		for n := range s.Packages {
			p, ok := <-made[n%workers]
			if !ok {
				break
			}
			if !yield(p, nil) {
				return
			}
		}
		if err := group.Wait(); err != nil {
			yield(generated{}, err)
		}
	}
}

// spread divides the files among the packages as distributions do: half of them
// have a handful, some have thousands.
func spread(s Shape) []int {
	r := rand.New(rand.NewPCG(s.Seed, 1<<63))
	weights, total := make([]float64, s.Packages), 0.0
	for i := range weights {
		weights[i] = min(lognormal(r, 1, 1.8), 60)
		total += weights[i]
	}
	sizes, left, largest := make([]int, s.Packages), s.Files, 0
	for i, w := range weights {
		sizes[i] = min(max(1, int(w/total*float64(s.Files))), maxFiles)
		left -= sizes[i]
		if sizes[i] > sizes[largest] {
			largest = i
		}
	}
	sizes[largest] = max(1, sizes[largest]+left)
	return sizes
}
