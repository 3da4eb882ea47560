// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/secret"
)

// maxLine bounds what is read from standard input.
const maxLine = 8 << 10

// quietTries is how often the terminal is looked at until its echo is off;
// that of one that had none to begin with never changes.
const quietTries = 10_000

// newPassword reads a password that check takes: from standard input if
// fromStdin, otherwise twice at the terminal. Never from an argument, which
// every process can see.
func (env Env) newPassword(ctx context.Context, who string, fromStdin bool, check func(secret.String) error) (secret.String, error) {
	if fromStdin {
		password, err := readSecret(ctx, env.Stdin)
		if err != nil {
			return secret.String{}, fmt.Errorf("reading the password: %w", err)
		}
		return password, check(password)
	}
	terminal, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return secret.String{}, exit.Misuse("pipe the password in and add --password-stdin", "there is no terminal to ask for a password")
	}
	first, err := env.ask(ctx, terminal, "Password for "+who+": ")
	if err != nil {
		return secret.String{}, err
	}
	if err := check(first); err != nil {
		return secret.String{}, err
	}
	second, err := env.ask(ctx, terminal, "Once more: ")
	if err != nil {
		return secret.String{}, err
	}
	if !first.Equal(second) {
		return secret.String{}, errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// password reads the password that somebody has: from standard input if
// fromStdin, otherwise at the terminal.
func (env Env) password(ctx context.Context, who string, fromStdin bool) (secret.String, error) {
	if fromStdin {
		return readSecret(ctx, env.Stdin)
	}
	terminal, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return secret.String{}, exit.Misuse("pipe the password in and add --password-stdin", "there is no terminal to ask for a password")
	}
	return env.ask(ctx, terminal, "Password for "+who+": ")
}

// ask reads one line without showing it. A signal ends it and gives the
// terminal its echo back.
func (env Env) ask(ctx context.Context, terminal *os.File, prompt string) (secret.String, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return secret.String{}, fmt.Errorf("reading the terminal: %w", err)
	}
	text, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) }, func() {
		// The prompt comes when the echo is off: who is fast is not shown
		// either, and a signal cannot give the echo back before it is taken.
		for range quietTries {
			if now, err := term.GetState(fd); err != nil || *now != *before {
				break
			}
			runtime.Gosched()
		}
		fmt.Fprint(env.Stderr, prompt)
	})
	fmt.Fprintln(env.Stderr)
	if ctx.Err() != nil {
		return secret.String{}, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("reading the password: %w", err)
	}
	return secret.New(string(text)), nil
}

// readSecret reads the first line of a file or a pipe.
func readSecret(ctx context.Context, from io.Reader) (secret.String, error) {
	line, err := readLine(ctx, from)
	return secret.New(line), err
}

func readLine(ctx context.Context, from io.Reader) (string, error) {
	line, err := interruptible(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(from, maxLine+1)).ReadString('\n')
	}, func() {})
	switch {
	case len(line) > maxLine:
		return "", fmt.Errorf("the line is longer than %d bytes", maxLine)
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// interruptible reads until ctx ends, and calls begun when it has begun to.
// The goroutine outlives a signal, as
// reading a terminal cannot be interrupted; the process ends right after.
func interruptible[T any](ctx context.Context, read func() (T, error), begun func()) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := read()
		results <- result{value, err}
	}()
	begun()
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-results:
		return r.value, r.err
	}
}

// confirm asks before something is lost. Without a terminal it wants --yes.
func (env Env) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	terminal, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return exit.Misuse("add --yes if you are sure", "there is no terminal to ask: %s", question)
	}
	fmt.Fprint(env.Stderr, question, " [y/N] ")
	line, err := readLine(ctx, terminal)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
