// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// MaxJobs bounds the jobs that run or wait for each other.
const MaxJobs = 8

// progressTime is the shortest time between two JobProgress of one stage.
const progressTime = 100 * time.Millisecond

// jobs are the long calls in progress. A number is never given out twice while
// the daemon runs.
type jobs struct {
	mu      sync.Mutex
	closed  bool
	last    uint64
	running map[uint64]job
	group   sync.WaitGroup
	program string // that is stopping when no job can be started any more
}

// job is one of them.
type job struct {
	cancel context.CancelFunc
	uid    uint32 // of the user who started it
}

func newJobs(program string) *jobs { return &jobs{program: program, running: map[uint64]job{}} }

// start runs fn as a job of by, until it returns, is cancelled or ctx ends.
func (j *jobs) start(ctx context.Context, by api.Actor, fn func(ctx context.Context, job uint64)) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || ctx.Err() != nil {
		return 0, errStopping(j.program)
	}
	if len(j.running) >= MaxJobs {
		return 0, &api.Error{Code: api.Busy, Message: "too many jobs are in progress", Advice: "wait for them, or cancel one"}
	}
	j.last++
	number := j.last
	ctx, cancel := context.WithCancel(ctx)
	j.running[number] = job{cancel, by.UID}
	j.group.Go(func() {
		defer j.end(number)
		fn(ctx, number)
	})
	return number, nil
}

// end forgets a job that returned.
func (j *jobs) end(number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running[number].cancel()
	delete(j.running, number)
}

// cancel asks a job to return. A user may cancel the jobs that he started, root
// those of everybody; nobody else learns whether there is such a job.
func (j *jobs) cancel(by api.Actor, number uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	running, ok := j.running[number]
	if !by.Privileged() && (!ok || running.uid != by.UID) {
		return &api.Error{Code: api.AccessDenied, Message: fmt.Sprintf("you have no running job %d", number),
			Advice: "root can cancel every job"}
	}
	if !ok {
		return api.Errorf(api.NotFound, "there is no job %d: it ended or never existed", number)
	}
	running.cancel()
	return nil
}

// wait lets no job start any more and waits for those that run.
func (j *jobs) wait() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.group.Wait()
}

// Cancel asks a job to return. A user may cancel the jobs that he started, root those
// of everybody.
func (s *Server) Cancel(by api.Actor, job uint64) error { return s.jobs.cancel(by, job) }

func errStopping(program string) error { return api.Errorf(api.Failed, "%s is stopping", program) }

// StartJob starts fn, called name, as a job of by; its progress and end are signals.
func (s *Server) StartJob(by api.Actor, name string, fn func(ctx context.Context, report func(stage string, done, total int)) (any, error)) (job uint64, err error) {
	return s.jobs.start(s.ctx, by, func(ctx context.Context, job uint64) {
		var result any
		err := s.guard(name, func() (err error) {
			result, err = fn(ctx, s.progressOf(job))
			return err
		})
		if err != nil {
			if ctx.Err() != nil {
				err = api.Errorf(api.Failed, "the %s was cancelled", strings.ToLower(name))
			}
			s.Send("JobFinished", job, false, api.Encode(*api.AsError(err)))
			return
		}
		s.Send("JobFinished", job, true, api.Encode(result))
	})
}

// progressOf returns what a job reports to: the first report of every stage and
// the last are sent, those between at most so often.
func (s *Server) progressOf(job uint64) func(stage string, done, total int) {
	var (
		lastStage string
		lastSent  time.Time
	)
	return func(stage string, done, total int) {
		now := time.Now()
		if stage == lastStage && now.Sub(lastSent) < progressTime && (total == 0 || done < total) {
			return
		}
		lastStage, lastSent = stage, now
		s.queue.push(signal{api.Interface + ".JobProgress",
			[]any{job, api.Clean(stage), uint64(max(done, 0)), uint64(max(total, 0))}})
	}
}
