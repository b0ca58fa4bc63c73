// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// frame is one message between libzypp and its plugin: a command, headers, a body
// (libzypp's documentation, "zypp plugins").
type frame struct {
	command string
	body    []byte
}

// Bounds of a frame. A transaction of 10,000 packages takes a body of 1 MiB.
const (
	maxHead   = 64 << 10 // bytes of the command and all headers
	maxBody   = maxInput
	frameTime = 30 * time.Second // for a frame that has begun, which is as long as libzypp tries to send one
)

// frames is a conversation by them.
type frames struct {
	in  *bufio.Reader
	raw io.Reader // below in; has deadlines if it is a file that the poller knows
	out io.Writer
}

func newFrames(in io.Reader, out io.Writer) *frames {
	return &frames{in: bufio.NewReader(in), raw: in, out: out}
}

// deadline limits reading, where that is possible; zero is no limit.
func (f *frames) deadline(t time.Time) {
	if d, ok := f.raw.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(t)
	}
}

// read waits for a frame as long as the peer lives, and for its end as long as
// libzypp takes to send it. io.EOF: the peer has hung up between frames.
func (f *frames) read() (frame, error) {
	f.deadline(time.Time{})
	if _, err := f.in.Peek(1); err != nil {
		return frame{}, err
	}
	f.deadline(time.Now().Add(frameTime))
	m, err := f.parse()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = fmt.Errorf("cannot read a frame of libzypp: %w", err)
	}
	return m, err
}

func (f *frames) parse() (m frame, err error) {
	head := maxHead
	if m.command, err = f.line(&head); err != nil {
		return m, err
	}
	length := -1
	for {
		line, err := f.line(&head)
		if err != nil {
			return m, err
		}
		if line == "" {
			break
		}
		if name, value, _ := strings.Cut(line, ":"); name == "content-length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxBody {
				return m, fmt.Errorf("content-length %.40q is no length up to %d", value, maxBody)
			}
		}
	}
	m.body, err = f.readBody(length)
	return m, err
}

// line reads a line, and takes its length from what is left for the head.
func (f *frames) line(left *int) (string, error) {
	var line []byte
	for {
		b, err := f.in.ReadByte()
		if err != nil {
			return "", err
		}
		if *left--; *left < 0 {
			return "", fmt.Errorf("command and headers are longer than %d bytes", maxHead)
		}
		if b == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b)
	}
}

// readBody reads what ends with a NUL, at its length if that was told. Memory grows
// with what comes, not with what is announced.
func (f *frames) readBody(length int) ([]byte, error) {
	if length >= 0 {
		body, err := io.ReadAll(io.LimitReader(f.in, int64(length)))
		if err == nil && len(body) < length {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if b, err := f.in.ReadByte(); err != nil {
			return nil, err
		} else if b != 0 {
			return nil, errors.New("no NUL after the body")
		}
		return body, nil
	}
	var body []byte
	for {
		part, err := f.in.ReadSlice(0)
		if len(body)+len(part) > maxBody {
			return nil, fmt.Errorf("body is longer than %d bytes", maxBody)
		}
		body = append(body, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return body[:len(body)-1], nil
	}
}

// answer sends a frame without a body.
func (f *frames) answer(command string, headers ...string) error {
	if d, ok := f.out.(*os.File); ok {
		_ = d.SetWriteDeadline(time.Now().Add(frameTime))
	}
	text := command + "\n"
	for _, h := range headers {
		text += h + "\n"
	}
	_, err := io.WriteString(f.out, text+"\n\x00")
	return err
}
