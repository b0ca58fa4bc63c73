// SPDX-License-Identifier: Apache-2.0

// Package feed reads the metadata of repositories in a process of its own, which has no rights:
// it can open nothing and speak to nobody. A crash there is an error about that repository.
//
// The process finds out which versions mend something, never above what the same repository
// offers. Its answers are bounded, and digestd trusts them as much as that repository and no
// more.
package feed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/kernel/confine"
	"github.com/digestd/digestd/repo/cache"
	"github.com/digestd/digestd/repo/metadata"
)

// Argument makes a program serve as the process that reads.
const Argument = "read-repository"

// Program is the one that runs now, even if the file was replaced meanwhile.
const Program = "/proc/self/exe"

const (
	// MaxFloors bounds what one repository may say.
	MaxFloors = 200_000
	// maxAnswer bounds what the process says, in bytes, and maxLine one line of it.
	maxAnswer = 128 << 20
	maxLine   = 1 << 20
	// Patience bounds how long one repository may take.
	Patience = 2 * time.Minute
	// keptCVEs bounds those that are kept of an advisory.
	keptCVEs = 16
)

// The files of a repository that are read, as repomd.xml names them.
const (
	Primary    = "primary"
	Modules    = "modules"
	Updateinfo = "updateinfo"
)

// request is what the process is asked. The files follow standard error in the order of
// Files.
type request struct {
	Repomd []byte   `json:"repomd,omitempty"`
	Files  []opened `json:"files,omitempty"`
	Find   string   `json:"find,omitempty"` // the ID of an advisory or CVE: tell what is said of it
}

type opened struct {
	Kind string `json:"kind"`
	metadata.File
}

// Floor is the version of a package that fixes a flaw.
type Floor struct {
	Name     string   `json:"n"`
	Arch     string   `json:"a"`
	Stream   string   `json:"s,omitempty"` // of the module, "name:stream"
	EVR      string   `json:"e"`
	Advisory string   `json:"w,omitempty"`
	Severity string   `json:"v,omitempty"`
	CVEs     []string `json:"c,omitempty"` // the first of them
}

// Said is an advisory that the caller asked for.
type Said struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Severity string   `json:"severity"`
	Issued   string   `json:"issued"`
	CVEs     []string `json:"cves"`
	Packages []string `json:"packages"` // NEVRA
	More     int      `json:"more"`     // packages that are not among them
}

// Summary describes the metadata of a repository as a whole.
type Summary struct {
	Advisories int       `json:"advisories"` // in all
	Security   int       `json:"security"`   // of these
	Packages   int       `json:"packages"`   // that the repository offers
	Beyond     int       `json:"beyond"`     // packages of security advisories whose version is above what it offers
	Unreadable int       `json:"unreadable"` // packages whose version makes no sense
	Newest     time.Time `json:"newest"`     // when the newest advisory was issued; zero: not known
}

// answer is a line that the process says. The last has Summary, Repomd or Error.
type answer struct {
	Floor   *Floor           `json:"f,omitempty"`
	Said    *Said            `json:"said,omitempty"`
	Summary *Summary         `json:"summary,omitempty"`
	Repomd  *metadata.Repomd `json:"repomd,omitempty"`
	Error   string           `json:"error,omitempty"`
}

// File is a file of a repository, open.
type File struct {
	Kind string
	metadata.File
	Open *os.File
}

// Open opens files of a repository, of the kinds that it has. If a kind exists with two
// compressions, it takes the one that is on this disk.
func Open(r *cache.Repository, m metadata.Repomd, kinds ...string) (files []File, err error) {
	for _, kind := range kinds {
		var missing error
		for _, name := range []string{kind, kind + "_zck"} {
			f, listed := m.Files[name]
			if !listed {
				continue
			}
			open, oerr := r.Open(f.Name)
			if oerr != nil {
				missing = oerr
				continue
			}
			files, missing = append(files, File{Kind: kind, File: f, Open: open}), nil
			break
		}
		if missing != nil {
			return files, missing
		}
	}
	return files, nil
}

// ReadRepomd has program read a repomd.xml.
func ReadRepomd(ctx context.Context, program string, data []byte) (m metadata.Repomd, err error) {
	last, err := run(ctx, program, request{Repomd: data}, nil, func(answer) error { return nil })
	if err == nil && last.Repomd == nil {
		err = errors.New("its reader did not say what is in it")
	}
	if err != nil {
		return m, err
	}
	return *last.Repomd, nil
}

// Read has program read the files of a repository, and calls fn for each floor. If Read
// returns an error, the caller must discard these floors.
func Read(ctx context.Context, program string, files []File, fn func(Floor)) (s Summary, err error) {
	n := 0
	last, err := run(ctx, program, request{}, files, func(a answer) error {
		if a.Floor == nil {
			return nil
		}
		if n++; n > MaxFloors {
			return fmt.Errorf("its advisories are about more than %d packages", MaxFloors)
		}
		f := *a.Floor
		if e, err := nevra.ParseEVR(f.EVR); err != nil || (nevra.NEVRA{Name: f.Name, Arch: f.Arch, EVR: e}).Valid() != nil || len(f.CVEs) > keptCVEs {
			return errors.New("its reader said what makes no sense")
		}
		fn(f)
		return nil
	})
	if err == nil && last.Summary == nil {
		err = errors.New("its reader did not come to the end")
	}
	if err != nil {
		return s, err
	}
	return *last.Summary, nil
}

// Find has program look for an advisory or CVE in the files of a repository, and calls fn for
// each advisory about it. If Find returns an error, the caller must discard these advisories.
func Find(ctx context.Context, program string, files []File, id string, fn func(Said)) error {
	n := 0
	_, err := run(ctx, program, request{Find: id}, files, func(a answer) error {
		const most = 1000
		if a.Said != nil {
			if n++; n > most {
				return fmt.Errorf("more than %d advisories are about it", most)
			}
			fn(*a.Said)
		}
		return nil
	})
	return err
}

// run asks a process, hears its lines and returns the last.
func run(ctx context.Context, program string, ask request, files []File, hear func(answer) error) (last answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, Argument)
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{"GOMEMLIMIT=48MiB", "GOMAXPROCS=1"}, "/", 10*time.Second
	for _, f := range files {
		ask.Files = append(ask.Files, opened{f.Kind, f.File})
		cmd.ExtraFiles = append(cmd.ExtraFiles, f.Open)
	}
	data, err := json.Marshal(ask)
	if err != nil {
		return last, err
	}
	cmd.Stdin = bytes.NewReader(data)
	said := &confine.Words{Most: 4 << 10}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, err
	}
	if err := cmd.Start(); err != nil {
		return last, fmt.Errorf("cannot start its reader: %w", err)
	}
	last, err = listen(out, hear)
	cancelled := ctx.Err() // before it is for another reason
	if err != nil {
		cancel()
	}
	werr := cmd.Wait()
	switch {
	case cancelled != nil:
		return last, fmt.Errorf("its reader took too long: %w", cancelled)
	case err != nil:
		return last, err
	case last.Error != "":
		return last, errors.New(clean(last.Error))
	case werr != nil:
		return last, fmt.Errorf("its reader failed: %w: %s", werr, clean(said.First(nil)))
	}
	return last, nil
}

// listen hears the lines of a process.
func listen(out io.Reader, hear func(answer) error) (last answer, err error) {
	lines := bufio.NewScanner(io.LimitReader(out, maxAnswer))
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		last = answer{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			return last, errors.New("its reader said what makes no sense")
		}
		if err := hear(last); err != nil {
			return last, err
		}
	}
	return last, lines.Err()
}

// clean is a text of the process as it can be shown.
func clean(text string) string {
	const most = 400
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
