// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit is who did what, when: one event for each decision about
// security, from a login to the revocation of a key.
//
// An ID token's jti stands in the event of its issue and in the audit log of
// each API server that took it, so a line there leads to the login here.
//
// The provider's endpoints and package admin record events; admin decides
// where they go. An event holds no token, no code and no secret, and nothing
// that somebody typed who was not let in.
package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// Act is what was done or refused.
type Act string

// The acts.
const (
	LoggedIn     Act = "login"         // a password, or another proof, was accepted
	LoginRefused Act = "login_refused" // Reason says why
	LoggedOut    Act = "logout"

	// Reason says by which methods, by their names in RFC 8176, or which ID.
	FactorProven  Act = "second_factor"
	FactorAdded   Act = "second_factor_added"
	FactorRemoved Act = "second_factor_removed"

	PasswordChanged Act = "password_changed" // by the person
	Locked          Act = "account_locked"   // for a while, after too many wrong passwords

	Granted  Act = "grant"         // a client was given a code, or tokens without one
	Denied   Act = "grant_denied"  // the end user, or a rule, said no
	GrantEnd Act = "grant_ended"   // none of its tokens is renewed any more
	Issued   Act = "tokens_issued" // TokenID is the jti of the ID token, or else of the access token
	Refused  Act = "token_refused" // at an endpoint that a client calls
	Replayed Act = "token_replayed"
	Revoked  Act = "token_revoked"

	Administered Act = "administration" // Actor did what Reason says, to whom or what the other fields say
)

// Event is one act. Every field but Time and Act may be empty.
type Event struct {
	Time      time.Time     `json:"time"`
	Act       Act           `json:"act"`
	Issuer    oidc.Issuer   `json:"issuer,omitempty"`
	Client    oidc.ClientID `json:"client,omitempty"`
	Subject   oidc.Subject  `json:"subject,omitempty"`
	Actor     string        `json:"actor,omitempty"` // who administers, if it is not the subject
	Source    string        `json:"source,omitempty"`
	GrantType string        `json:"grant_type,omitempty"`
	Grant     string        `json:"grant,omitempty"`
	Session   string        `json:"session,omitempty"`
	TokenID   string        `json:"jti,omitempty"`
	Object    string        `json:"object,omitempty"` // what has no field of its own: the name of a group, the ID of a signing key
	Remote    string        `json:"remote,omitempty"` // the address it came from
	Agent     string        `json:"agent,omitempty"`  // what the browser calls itself, cut short
	Reason    string        `json:"reason,omitempty"`
}

// Trail takes the events of one issuer and hands them to each sink. A nil
// Trail drops them, so that tests and tools need none.
type Trail struct {
	Issuer oidc.Issuer
	Now    func() time.Time
	Sinks  []func(Event)
}

// Record hands on the event, with the time and the issuer filled in. It
// returns when every sink has it.
func (t *Trail) Record(event Event) {
	if t == nil {
		return
	}
	if event.Time.IsZero() {
		event.Time = t.Now()
	}
	event.Time = event.Time.UTC()
	if event.Issuer == "" {
		event.Issuer = t.Issuer
	}
	event.Agent = cut(event.Agent)
	for _, sink := range t.Sinks {
		sink(event)
	}
}

// maxAgent is as much of a browser's name as tells it from another.
const maxAgent = 200

func cut(agent string) string {
	if len(agent) <= maxAgent {
		return agent
	}
	return agent[:maxAgent] // JSON replaces half a character at the end
}

// Lines writes each event as a line of JSON. What cannot be written is told
// to Lost and otherwise dropped: a full disk must not keep people from
// working, and the operator hears of it.
type Lines struct {
	Lost func(error) // must not be nil

	mu  sync.Mutex // guards the field below, and that lines stay whole
	out io.Writer
}

// NewLines writes to out.
func NewLines(out io.Writer, lost func(error)) *Lines { return &Lines{Lost: lost, out: out} }

// Write takes an event.
func (l *Lines) Write(event Event) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(event) // ends with a line break
	if err == nil {
		l.mu.Lock()
		_, err = l.out.Write(line.Bytes())
		l.mu.Unlock()
	}
	if err != nil {
		l.Lost(err)
	}
}

// Reopen replaces where lines go, for programs that rotate files.
func (l *Lines) Reopen(out io.Writer) (old io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, l.out = l.out, out
	return old
}
