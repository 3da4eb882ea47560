// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"io"
	"log/slog"
	"os"
	"os/user"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
)

// auditFile is where audit events are written; nil if nowhere.
type auditFile struct {
	path  string // empty: standard output
	lines *audit.Lines
	log   *slog.Logger
}

// open opens the file that the configuration names, for appending.
func (c auditConfig) open(env Env, log *slog.Logger) (*auditFile, error) {
	lost := func(err error) { log.Error("an audit event was not written", "error", err) }
	switch c.File {
	case "":
		return nil, nil
	case "-":
		return &auditFile{lines: audit.NewLines(env.Stdout, lost), log: log}, nil
	}
	file, err := appendTo(c.File)
	if err != nil {
		return nil, exit.Misuse("its folder must exist, and belong to the user that serves", "audit.file: %w", err)
	}
	return &auditFile{path: c.File, lines: audit.NewLines(file, lost), log: log}, nil
}

func appendTo(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

func (f *auditFile) sinks() []func(audit.Event) {
	if f == nil {
		return nil
	}
	return []func(audit.Event){f.lines.Write}
}

// reopen begins the file anew, if it was moved away.
func (f *auditFile) reopen() {
	if f == nil || f.path == "" {
		return
	}
	file, err := appendTo(f.path)
	if err != nil {
		f.log.Error("the audit file was not opened anew; events go to the old one", "error", err)
		return
	}
	closeFile(f.lines.Reopen(file))
}

func (f *auditFile) close() {
	if f != nil && f.path != "" {
		closeFile(f.lines.Reopen(io.Discard))
	}
}

func closeFile(w io.Writer) {
	if file, ok := w.(io.Closer); ok {
		file.Close() //nolint:errcheck // each line was written when it came
	}
}

// recorded adds to a command that changes something of an issuer the event
// that it did.
func (p place) recorded(env Env, do func(config, *issuer) error) func(config, *issuer) error {
	return func(c config, opened *issuer) error {
		return p.record(env, c, opened.url, func() error { return do(c, opened) })
	}
}

// record does what a command is for, and writes down that it was done. about
// is empty for what concerns all issuers. Who cannot write it down does not
// do it.
func (p place) record(env Env, c config, about oidc.Issuer, do func() error) error {
	if c.Audit.File == "" || c.Audit.File == "-" { // standard output is the command's own
		return do()
	}
	trail, err := c.Audit.open(env, slog.New(slog.NewTextHandler(env.Stderr, nil)))
	if err != nil {
		return err
	}
	defer trail.close()
	if err := do(); err != nil {
		return err
	}
	actor := "somebody"
	if who, err := user.Current(); err == nil {
		actor = who.Username
	}
	(&audit.Trail{Issuer: about, Now: env.Now, Sinks: trail.sinks()}).Record(audit.Event{
		Act: audit.Administered, Actor: actor, Reason: p.command.CommandPath(),
	})
	return nil
}
