// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"bufio"
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

// verifyRecord is what is kept of verifications.
type verifyRecord struct {
	Latest   api.Verification `json:"latest"`
	Full     api.Verification `json:"full"` // the latest of everything that came to its end
	Cursor   verify.Cursor    `json:"cursor"`
	Size     int64            `json:"size"`     // of the findings up to the cursor
	Findings int              `json:"findings"` // how many these are
	Places   []int64          `json:"places"`   // where every thousandth of them begins
}

// verifier keeps record of verifications. One may run at a time.
type verifier struct {
	running sync.Mutex
	loaded  sync.Once

	mu     sync.Mutex
	dir    string
	record verifyRecord
	file   *os.File // while one runs
}

// open reads the record, once. One that cannot be read is forgotten; a run that
// was in progress was interrupted.
func (v *verifier) open(dir string) {
	v.loaded.Do(func() {
		v.dir = dir
		data, err := os.ReadFile(filepath.Join(dir, verifyFile))
		if err != nil || json.Unmarshal(data, &v.record) != nil {
			v.record = verifyRecord{}
		}
		r := &v.record
		if st, err := os.Stat(filepath.Join(dir, findingsFile)); r.Size > 0 && (err != nil || st.Size() < r.Size) {
			r.Size, r.Findings, r.Places = 0, 0, nil
		}
		if r.Latest.State == api.VerifyRunning {
			r.Latest.State = api.VerifyInterrupted
		}
	})
}

// latest returns the latest verification and the latest of everything.
func (v *verifier) latest() (latest, full api.Verification) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.record.Latest, v.record.Full
}

// begin starts a new record, or goes on with one that was interrupted.
func (v *verifier) begin(fresh api.Verification, resume bool) (after verify.Cursor, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !resume {
		v.record.Latest, v.record.Cursor, v.record.Size, v.record.Findings, v.record.Places = fresh, verify.Cursor{}, 0, 0, nil
	}
	v.record.Latest.State, v.record.Latest.Ended = api.VerifyRunning, time.Time{}
	v.file, err = os.OpenFile(filepath.Join(v.dir, findingsFile), os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		if err = v.file.Truncate(v.record.Size); err == nil {
			_, err = v.file.Seek(v.record.Size, io.SeekStart)
		}
	}
	if err != nil {
		return after, fmt.Errorf("cannot keep findings: %w", err)
	}
	return v.record.Cursor, v.save(false)
}

// take enters what a run tells of a unit.
func (v *verifier) take(u *verify.Unit) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := &v.record.Latest
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
		if v.record.Findings >= maxFindings {
			r.Dropped++
			continue
		}
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("cannot keep findings: %w", err)
		}
		if _, err := v.file.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("cannot keep findings: %w", err)
		}
		if v.record.Findings%api.MaxPage == 0 {
			v.record.Places = append(v.record.Places, v.record.Size)
		}
		v.record.Findings++
		v.record.Size += int64(len(line)) + 1
	}
	v.record.Cursor = u.Cursor
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
func (v *verifier) note(took time.Duration) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.record.Latest.Duration += took
	return v.save(false)
}

// end closes the record of a run.
func (v *verifier) end(state string, took time.Duration, now time.Time) (api.Verification, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := &v.record.Latest
	r.State, r.Ended = state, now
	r.Duration += took
	if state == api.VerifyFinished && r.All {
		v.record.Full = *r
	}
	err := v.file.Close()
	v.file = nil
	return *r, errors.Join(err, v.save(true))
}

// save writes the record beside the old one and puts it in its place.
func (v *verifier) save(durable bool) error {
	data, err := json.Marshal(v.record)
	if err != nil {
		return fmt.Errorf("cannot note the verification: %w", err)
	}
	path := filepath.Join(v.dir, verifyFile)
	err = os.WriteFile(path+".new", data, 0o600)
	if err == nil && durable {
		err = syncFile(path + ".new")
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("cannot note the verification: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// page returns some findings and how many there are.
func (v *verifier) page(offset, limit uint32) (page []api.Finding, total uint32, err error) {
	v.mu.Lock()
	size, n := v.record.Size, v.record.Findings
	var from int64
	if k := int(offset / api.MaxPage); k < len(v.record.Places) {
		from = v.record.Places[k]
	}
	path := filepath.Join(v.dir, findingsFile)
	v.mu.Unlock()
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
