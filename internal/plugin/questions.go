// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"
)

// questions is where a person is asked something.
type questions struct {
	in       *os.File
	out      io.Writer
	terminal bool // in is one
	own      bool // in was opened by us
}

// questions finds out where to ask. kubectl owns standard output, and standard
// input may be a manifest; so the terminal itself is asked. Standard input is
// read if it is a terminal, or if the command was typed by hand: then what is
// piped in is meant for us.
func (p person) questions() (questions, error) {
	if !p.interactive {
		return questions{}, errors.New("standard input is not ours")
	}
	stdin := p.env.Stdin
	if stdin != nil && !p.byKubectl {
		if info, err := stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice == 0 {
			return questions{in: stdin, out: p.env.Stderr}, nil
		}
	}
	open := p.env.Terminal
	if open == nil {
		open = func() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }
	}
	if terminal, err := open(); err == nil {
		return questions{in: terminal, out: terminal, terminal: true, own: true}, nil
	}
	if stdin != nil && term.IsTerminal(int(stdin.Fd())) {
		return questions{in: stdin, out: p.env.Stderr, terminal: true}, nil
	}
	return questions{}, errors.New("there is no terminal")
}

func (q questions) close() {
	if q.own {
		q.in.Close()
	}
}

// ask asks for one line, which the terminal does not show if it is hidden.
// When ctx ends it returns at once, and the terminal is as it was.
func (p person) ask(ctx context.Context, question string, hidden bool) (string, error) {
	q, err := p.questions()
	if err != nil {
		return "", err
	}
	p.bothered()
	var before *term.State
	if q.terminal && hidden {
		if before, err = term.GetState(int(q.in.Fd())); err != nil {
			q.close()
			return "", fmt.Errorf("reading the state of the terminal: %w", err)
		}
	}
	if before == nil {
		fmt.Fprint(q.out, question)
	}
	type line struct {
		text string
		err  error
	}
	answered := make(chan line, 1)
	// No system can be relied on to interrupt a read of a terminal. After an
	// interrupt this goroutine is left to the end of the process, which is near.
	go func() {
		if before == nil {
			text, err := readLine(q.in)
			answered <- line{text, err}
			return
		}
		text, err := term.ReadPassword(int(q.in.Fd()))
		answered <- line{string(text), err}
	}()
	if before != nil {
		awaitQuiet(int(q.in.Fd()), before)
		fmt.Fprint(q.out, question)
	}
	select {
	case answer := <-answered:
		if before != nil {
			fmt.Fprintln(q.out) // the line end was not shown either
		}
		q.close()
		switch {
		case answer.err == io.EOF: //nolint:errorlint // io.Reader's contract
			return "", errors.New("the input ended before there was an answer")
		case answer.err != nil:
			return "", fmt.Errorf("reading the answer: %w", answer.err)
		}
		return answer.text, nil
	case <-ctx.Done():
		if before != nil {
			term.Restore(int(q.in.Fd()), before) //nolint:errcheck // there is nothing else to try
		}
		if q.terminal {
			fmt.Fprintln(q.out)
		}
		return "", ctx.Err()
	}
}

// awaitQuiet returns when the echo is off: who is fast is not shown either,
// and an interrupt cannot give the echo back before it is taken. A terminal
// that had none to begin with never changes, and is not waited for for long.
func awaitQuiet(fd int, before *term.State) {
	for range 10_000 {
		if now, err := term.GetState(fd); err != nil || *now != *before {
			return
		}
		runtime.Gosched()
	}
}

// mayTryAgain reports whether another answer can come: not out of a pipe that
// was filled before.
func (p person) mayTryAgain() bool {
	q, err := p.questions()
	if err != nil {
		return false
	}
	q.close()
	return q.terminal
}

// readLine reads up to the end of the line and not a byte more: what follows
// is the answer to another question.
func readLine(in io.Reader) (string, error) {
	const most = 64 << 10
	var text []byte
	for one := make([]byte, 1); len(text) < most; {
		n, err := in.Read(one)
		switch {
		case n == 1 && one[0] == '\n', err == io.EOF && len(text) > 0: //nolint:errorlint // io.Reader's contract
			return strings.TrimSuffix(string(text), "\r"), nil
		case n == 1:
			text = append(text, one[0])
		case err != nil:
			return "", err
		}
	}
	return "", errors.New("the line is too long")
}
