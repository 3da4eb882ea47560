// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"io"
	"log/slog"
	"os"
	"os/user"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity/local"
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

// recorded adds to a command that changes something of an issuer the events
// that it did, as the command tells them with [issuer.did].
func (p place) recorded(env Env, do func(config, *issuer) error) func(config, *issuer) error {
	return func(c config, opened *issuer) error {
		return p.record(env, c, opened.url, func() ([]audit.Event, error) {
			err := do(c, opened)
			return opened.done, err
		})
	}
}

// did tells what a command has done, to whom or what: one event for each. If
// the command fails later, this much is written down all the same.
func (i *issuer) did(event audit.Event) { i.done = append(i.done, event) }

// didAdd tells that a user was added. Into which groups is told as the command
// that does it by itself.
func (i *issuer) didAdd(a local.Account) {
	event := about(a)
	i.did(event)
	for _, group := range a.Groups {
		event.Object, event.Reason = group, "tegata group add-member"
		i.did(event)
	}
}

// about is an event of which the user is the subject.
func about(a local.Account) audit.Event { return audit.Event{Subject: a.Subject, Source: a.Source} }

// once is the event of something that is done as a whole, unless it failed.
func once(event audit.Event, err error) ([]audit.Event, error) {
	if err != nil {
		return nil, err
	}
	return []audit.Event{event}, nil
}

// record does what a command is for, and writes down that it was done. The
// issuer is empty for what concerns all of them. Who cannot write it down does
// not do it. A command that has done something and tells no more is an event
// as well.
func (p place) record(env Env, c config, of oidc.Issuer, do func() ([]audit.Event, error)) error {
	if c.Audit.File == "" || c.Audit.File == "-" { // standard output is the command's own
		_, err := do()
		return err
	}
	trail, err := c.Audit.open(env, slog.New(slog.NewTextHandler(env.Stderr, nil)))
	if err != nil {
		return err
	}
	defer trail.close()
	done, err := do()
	if err == nil && len(done) == 0 {
		done = []audit.Event{{}}
	}
	actor := "somebody"
	if who, err := user.Current(); err == nil {
		actor = who.Username
	}
	events := &audit.Trail{Issuer: of, Now: env.Now, Sinks: trail.sinks()}
	for _, event := range done {
		event.Act, event.Actor, event.Reason = audit.Administered, actor, cmp.Or(event.Reason, p.command.CommandPath())
		events.Record(event)
	}
	return err
}
