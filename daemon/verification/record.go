// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// The files of the latest verification, in the state directory. They are notes,
// not decisions: what is lost with them is found again.
const (
	verifyFile   = "verify.json"
	findingsFile = "verify.findings" // one JSON text a line
)

const (
	// maxFindings bounds the findings that are kept.
	maxFindings = 100_000
	// saveTime is the shortest time between two notes of how far a run is.
	saveTime = time.Second
)

// recorded is what is kept of verifications.
type recorded struct {
	Latest   api.Verification `json:"latest"`
	Full     api.Verification `json:"full"` // the latest of everything that came to its end
	Cursor   verify.Cursor    `json:"cursor"`
	Size     int64            `json:"size"`     // of the findings up to the cursor
	Findings int              `json:"findings"` // how many these are
	Places   []int64          `json:"places"`   // where every thousandth of them begins
}

// recorder keeps the record of the latest verification, and whether one runs.
type recorder struct {
	running sync.Mutex
	loaded  sync.Once

	mu     sync.Mutex
	dir    string
	record recorded
	file   *os.File // while one runs
}

// cancelTime is how long one that was cancelled may take to end: a caller who
// interrupted it may want the next at once.
const cancelTime = 3 * time.Second

// lock takes the right to verify; false means that somebody else has it.
func (rec *recorder) lock(ctx context.Context) bool {
	const pause = 20 * time.Millisecond
	for waited := time.Duration(0); !rec.running.TryLock(); waited += pause {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if waited >= cancelTime {
			return false
		}
	}
	return true
}

// open reads the record, once. One that cannot be read is forgotten; a run that was in
// progress was interrupted. A run whose findings are lost is one that nobody can go on with.
func (rec *recorder) open(dir string) {
	rec.loaded.Do(func() {
		rec.dir = dir
		data, err := os.ReadFile(filepath.Join(dir, verifyFile))
		if err != nil || json.Unmarshal(data, &rec.record) != nil {
			rec.record = recorded{}
		}
		r := &rec.record
		if st, err := os.Stat(filepath.Join(dir, findingsFile)); r.Size > 0 && (err != nil || st.Size() < r.Size) {
			r.Size, r.Findings, r.Places = 0, 0, nil
			if r.Latest.State != api.VerifyFinished {
				r.Latest, r.Cursor = api.Verification{}, verify.Cursor{}
			}
		}
		if r.Latest.State == api.VerifyRunning {
			r.Latest.State = api.VerifyInterrupted
		}
	})
}

// latest returns the latest verification and the latest of everything.
func (rec *recorder) latest() (latest, full api.Verification) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.record.Latest, rec.record.Full
}

// begin starts a new record, or goes on with one that was interrupted, and returns how far
// that came. If it fails, the record is what it was.
func (rec *recorder) begin(fresh api.Verification, resume bool) (after verify.Cursor, err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	before := rec.record
	if !resume {
		rec.record = recorded{Latest: fresh, Full: before.Full}
	}
	rec.record.Latest.State, rec.record.Latest.Ended = api.VerifyRunning, time.Time{}
	// The record comes first: the findings of the one before go only if this one can be kept.
	if err := rec.save(false); err != nil {
		rec.record = before
		return after, err
	}
	if rec.file, err = openFindings(rec.dir, rec.record.Size); err != nil {
		rec.record = before
		return after, errors.Join(err, rec.save(false))
	}
	return rec.record.Cursor, nil
}

// openFindings opens the file of findings to go on behind its first size bytes.
func openFindings(dir string, size int64) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, findingsFile), os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot keep findings: %w", err)
	}
	err = f.Truncate(size)
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot keep findings: %w", err)
	}
	return f, nil
}

// take enters what a run tells of a unit.
func (rec *recorder) take(u *verify.Unit) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r := &rec.record.Latest
	r.Files += u.Files
	r.Bytes += u.Bytes
	r.Absent += u.Absent
	r.Unbound += u.Unbound
	switch {
	case u.Moved:
		r.Moved++
	case u.Package:
		r.Packages++
	}
	addCounts(r, u.Dropped)
	for _, f := range u.Findings {
		r.Count(f)
		if rec.record.Findings >= maxFindings {
			r.Dropped++
			continue
		}
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("cannot keep findings: %w", err)
		}
		if _, err := rec.file.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("cannot keep findings: %w", err)
		}
		if rec.record.Findings%api.MaxPage == 0 {
			rec.record.Places = append(rec.record.Places, rec.record.Size)
		}
		rec.record.Findings++
		rec.record.Size += int64(len(line)) + 1
	}
	rec.record.Cursor = u.Cursor
	return nil
}

// addCounts adds findings that were counted elsewhere.
func addCounts(r *api.Verification, more api.Verification) {
	r.Errors += more.Errors
	r.Notices += more.Notices
	r.Fixed += more.Fixed
	r.Dropped += more.Dropped
	c, m := &r.Counts, more.Counts
	c.Changed += m.Changed
	c.Missing += m.Missing
	c.Unvouched += m.Unvouched
	c.Label += m.Label
	c.List += m.List
	c.Withheld += m.Withheld
	c.Unreadable += m.Unreadable
}

// note saves how far the run is.
func (rec *recorder) note(took time.Duration) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.record.Latest.Duration += took
	return rec.save(false)
}

// end closes the record of a run.
func (rec *recorder) end(state string, took time.Duration, now time.Time) (api.Verification, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r := &rec.record.Latest
	r.State, r.Ended = state, now
	r.Duration += took
	if state == api.VerifyFinished && r.All {
		rec.record.Full = *r
	}
	err := rec.file.Close()
	rec.file = nil
	return *r, errors.Join(err, rec.save(true))
}

// save writes the record beside the old one and puts it in its place; lasting makes it durable.
func (rec *recorder) save(lasting bool) error {
	data, err := json.Marshal(rec.record)
	if err != nil {
		return fmt.Errorf("cannot note the verification: %w", err)
	}
	path := filepath.Join(rec.dir, verifyFile)
	if lasting {
		err = durable.WriteFile(path, data, 0o600)
	} else if err = os.WriteFile(path+".new", data, 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("cannot note the verification: %w", err)
	}
	return nil
}

// page returns some findings and how many there are.
func (rec *recorder) page(offset, limit uint32) (page []api.Finding, total uint32, err error) {
	rec.mu.Lock()
	size, n := rec.record.Size, rec.record.Findings
	var from int64
	if k := int(offset / api.MaxPage); k < len(rec.record.Places) {
		from = rec.record.Places[k]
	}
	path := filepath.Join(rec.dir, findingsFile)
	rec.mu.Unlock()
	if int(offset) >= n {
		return nil, uint32(n), nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read findings: %w", err)
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(io.NewSectionReader(f, from, size-from)))
	for skip := offset % api.MaxPage; uint32(len(page)) < limit && lines.More(); {
		var found api.Finding
		if err := lines.Decode(&found); err != nil {
			return nil, 0, fmt.Errorf("cannot read findings: %w", err)
		}
		if skip > 0 {
			skip--
			continue
		}
		page = append(page, found)
	}
	return page, uint32(n), nil
}
