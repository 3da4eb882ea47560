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
	"strings"

	"golang.org/x/term"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/secret"
)

// maxLine bounds what is read from standard input.
const maxLine = 8 << 10

// newPassword reads a password: from standard input if fromStdin, otherwise
// twice at the terminal. Never from an argument, which every process can see.
func (env Env) newPassword(ctx context.Context, who string, fromStdin bool) (secret.String, error) {
	if fromStdin {
		line, err := bufio.NewReader(io.LimitReader(env.Stdin, maxLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return secret.String{}, fmt.Errorf("reading the password: %w", err)
		}
		password := secret.New(strings.TrimRight(line, "\r\n"))
		return password, checkPassword(password)
	}
	terminal, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return secret.String{}, exit.Misuse("pipe the password in and add --password-stdin", "there is no terminal to ask for a password")
	}
	first, err := env.ask(ctx, terminal, "Password for "+who+": ")
	if err != nil {
		return secret.String{}, err
	}
	if err := checkPassword(first); err != nil {
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

func checkPassword(password secret.String) error {
	return local.CheckPassword(password)
}

// ask reads one line without showing it. A signal ends it and gives the
// terminal its echo back.
func (env Env) ask(ctx context.Context, terminal *os.File, prompt string) (secret.String, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return secret.String{}, fmt.Errorf("reading the terminal: %w", err)
	}
	fmt.Fprint(env.Stderr, prompt)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	// This goroutine outlives a signal, as reading a terminal cannot be
	// interrupted; the process ends right after.
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(env.Stderr)
		return secret.String{}, errors.Join(ctx.Err(), term.Restore(fd, before))
	case a := <-answers:
		fmt.Fprintln(env.Stderr)
		if a.err != nil {
			return secret.String{}, fmt.Errorf("reading the password: %w", a.err)
		}
		return secret.New(string(a.text)), nil
	}
}

// confirm asks before something is lost. Without a terminal it wants --yes.
func (env Env) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	terminal, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return exit.Misuse("add --yes if you are sure", "there is no terminal to ask: %s", question)
	}
	fmt.Fprint(env.Stderr, question, " [y/N] ")
	line, err := bufio.NewReader(io.LimitReader(terminal, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
