// SPDX-License-Identifier: Apache-2.0

package look

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// Argument makes the daemon's program run as such a process.
const Argument = "look-worker"

// program is the running program, even if its file was replaced meanwhile.
const program = "/proc/self/exe"

const (
	readers  = 2                // processes that look at the same time
	maxStuck = 8                // processes that were killed and have not ended yet
	idleTime = 20 * time.Second // an unused process ends after this time
	niceness = 5                // of the processes: transactions go first
	memory   = 32 << 20         // soft limit for the memory of a process, in bytes
)

// Pool examines files in separate processes, a few at a time. They start when they are needed
// and end when they are not used for a while.
type Pool struct {
	root  string
	free  chan struct{} // holds one token for each slot that is not in use
	mu    sync.Mutex    // guards slots
	slots []*slot       // those that are not in use; the last was used last
	stuck atomic.Int32
}

// slot holds at most one process.
type slot struct {
	mu      sync.Mutex // guards worker against the timer
	worker  *worker
	timer   *time.Timer
	expires time.Time
}

type worker struct {
	cmd      *exec.Cmd
	in, out  *os.File // the pool's ends of the pipes
	answers  *bufio.Reader
	question []byte // buffer for one question
}

// NewPool returns a pool that examines files inside of root.
func NewPool(root string) *Pool {
	p := &Pool{root: root, free: make(chan struct{}, readers)}
	for range readers {
		p.put(&slot{})
	}
	return p
}

// take returns the slot that was used last: its process is most likely in the caches of a
// processor, and further ones are started only when they are needed. The caller took a token out
// of free.
func (p *Pool) take() *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.slots) - 1
	s := p.slots[last]
	p.slots = p.slots[:last]
	return s
}

// put gives a slot back, with a token.
func (p *Pool) put(s *slot) {
	p.mu.Lock()
	p.slots = append(p.slots, s)
	p.mu.Unlock()
	p.free <- struct{}{}
}

// Close ends idle processes. Busy ones end after their current question.
func (p *Pool) Close() {
	for range readers {
		select {
		case <-p.free:
			p.take().rest(0)
		default:
		}
	}
}

// At is [At] in a separate process. It returns at the latest when ctx ends, even if the file
// system blocks the process.
func (p *Pool) At(ctx context.Context, path string, algos ...digestlist.Algo) (File, error) {
	return p.AtWhile(ctx, path, func() {}, algos...)
}

// AtWhile is [Pool.At], and calls meanwhile after it has sent the question. meanwhile must not
// take longer than the answer. It is not called if there is no process.
func (p *Pool) AtWhile(ctx context.Context, path string, meanwhile func(), algos ...digestlist.Algo) (File, error) {
	select {
	case <-p.free:
	case <-ctx.Done():
		return File{}, &api.Error{Code: api.Busy, Message: "too many requests about files are in progress", Advice: "wait until some of them have returned"}
	}
	s := p.take()
	defer p.put(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	a, err := p.ask(ctx, s, question{path, algos}, meanwhile)
	if err != nil {
		return File{}, err
	}
	s.timer = time.AfterFunc(idleTime, func() { s.rest(idleTime) })
	s.expires = time.Now().Add(idleTime)
	switch {
	case a.denied:
		return a.file, fmt.Errorf("%s: %w", a.text, fs.ErrPermission)
	case a.text != "":
		return a.file, errors.New(a.text)
	}
	return a.file, nil
}

// ask sends a question to the slot's process. If the question fails, the process is killed.
func (p *Pool) ask(ctx context.Context, s *slot, q question, meanwhile func()) (a answer, err error) {
	if s.worker == nil {
		if s.worker, err = p.start(); err != nil {
			return a, fmt.Errorf("cannot look at files: %w", err)
		}
	}
	w := s.worker
	// This goroutine asks the question itself: waking another one takes as long as most answers.
	stop := context.AfterFunc(ctx, w.interrupt)
	err = w.converse(q, &a, meanwhile)
	ended := !stop()
	if err == nil && !ended {
		return a, nil
	}
	s.worker = nil
	p.kill(w)
	switch {
	case err == nil: // the answer was in time, but the process can take no further question
		return a, nil
	case ended:
		return answer{}, ctx.Err()
	}
	return answer{}, fmt.Errorf("cannot look at files: the process that does it ended: %w", err)
}

func (p *Pool) start() (*worker, error) {
	if p.stuck.Load() >= maxStuck {
		return nil, errors.New("file systems do not answer")
	}
	cmd := exec.Command(program, Argument, p.root)
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	w := &worker{cmd: cmd, in: in, out: out, answers: bufio.NewReaderSize(out, maxMessage)}
	if err := cmd.Start(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// interrupt ends a conversation in progress, whatever the process does.
func (w *worker) interrupt() {
	long := time.Unix(1, 0)
	w.in.SetWriteDeadline(long)
	w.out.SetReadDeadline(long)
}

// close closes the pool's ends of the pipes; the process then exits.
func (w *worker) close() {
	w.in.Close()
	w.out.Close()
}

// kill kills a process. A process that waits for a disk or a server ends only when that answers;
// nobody waits for it, but it counts as stuck.
func (p *Pool) kill(w *worker) {
	p.stuck.Add(1)
	w.cmd.Process.Kill()
	w.close()
	go func() {
		w.cmd.Wait()
		p.stuck.Add(-1)
	}()
}

// rest ends the process of a slot that was not used for so long.
func (s *slot) rest(unused time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.worker; w != nil && (unused == 0 || !time.Now().Before(s.expires)) {
		s.worker = nil
		w.close()
		go w.cmd.Wait()
	}
}

func (w *worker) converse(q question, a *answer, meanwhile func()) (err error) {
	if w.question, err = send(w.in, w.question, &q); err != nil {
		return err
	}
	meanwhile()
	return receive(w.answers, a)
}

// Serve runs the process: it answers questions about files inside of root, one after the other,
// until its input ends.
func Serve(root string, in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(memory)
	giveWay()
	tree, err := kernel.OpenRoot(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	questions := bufio.NewReaderSize(in, maxMessage)
	var buf []byte
	for {
		var q question
		switch err := receive(questions, &q); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("cannot read a question: %w", err)
		}
		var a answer
		if a.file, err = At(context.Background(), tree, q.path, q.algos...); err != nil {
			a.text, a.denied = err.Error(), errors.Is(err, fs.ErrPermission)
		}
		if buf, err = send(out, buf, &a); err != nil {
			return fmt.Errorf("cannot answer: %w", err)
		}
	}
}

// giveWay lowers the priority of this process. It ignores errors.
func giveWay() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
		}
	}
}
