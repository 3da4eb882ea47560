// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// Remembered is a user of a source that is not ours, as the source said last.
// Disabled and Epoch of the user are ours: whether an administrator let them
// in here, and how often all their logins were ended.
type Remembered struct {
	User        User
	ConfirmedAt time.Time // zero: the source says so no more
	Sealed      string    // with what the source can be asked again; may be empty
	// OwnNames means that the source itself gives names, each to one person
	// at a time, as a directory does. Elsewhere people choose their own. It is
	// not kept.
	OwnNames bool
}

// Memory keeps users of other sources. They are there for three reasons:
// sessions and grants stand on them, they can be disabled here, and a source
// that is down for a while takes nobody's work away.
type Memory interface {
	// Remember keeps what a source said, and returns the user with Disabled and
	// Epoch as they are here. A *NameTakenError means that somebody else has the
	// name. Within a source that gives names itself, a name follows who has it
	// now.
	Remember(ctx context.Context, r Remembered) (User, error)
	// Recall returns ErrNotFound for who is not kept.
	Recall(ctx context.Context, subject oidc.Subject) (Remembered, error)
	// Doubt makes ConfirmedAt zero, and drops what is sealed.
	Doubt(ctx context.Context, subject oidc.Subject) error
	// Ask reports whether the caller is the one who may ask the source with
	// what is sealed: until then, until Remember or until Doubt, nobody else is.
	Ask(ctx context.Context, subject oidc.Subject, now, until time.Time) (bool, error)
}

// NameTakenError means that a user of one source has the name of a user of
// another. API servers know people by these names, so the second one is not
// let in.
type NameTakenError struct {
	What   string // user name or e-mail address
	Name   string
	Source string // whose user has it
}

// Error implements [error].
func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the %s %q belongs to a user of the source %s", e.What, e.Name, e.Source)
}
