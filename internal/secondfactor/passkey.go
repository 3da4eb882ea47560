// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Passkeys: the bytes and the signatures are the library's, the decisions are
// ours. The authenticator must have verified its user, by a fingerprint or a
// PIN. Its counter must not go back, unless it does not count at all.
//
// That a passkey is backed up may change: a password manager that begins to
// synchronize must not lock its owner out. What it says at each login is what
// the ID token says: hwk for a key that stays where it is, swk for one that
// does not.

// questionLifetime is how long a passkey may take to answer.
const questionLifetime = 5 * time.Minute

// Question is what a passkey has to sign. It travels in a page, sealed for
// the browser that it was put to, and is answered once.
type Question struct {
	Session webauthn.SessionData `json:"s"`
	At      int64                `json:"t"` // Unix seconds
	// Options are what the browser gets, as JSON.
	Options json.RawMessage `json:"-"`
}

// owner is the user as the library wants to see one.
type owner struct {
	handle      []byte
	user        identity.User
	credentials []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return o.handle }
func (o owner) WebAuthnName() string                       { return o.user.Username }
func (o owner) WebAuthnDisplayName() string                { return cmp.Or(o.user.Name, o.user.Username) }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.credentials }

// owner opens all passkeys of the user.
func (f *Factors) owner(user identity.User, has Set) (owner, error) {
	o := owner{handle: f.handle(user.Subject), user: user}
	for _, one := range has.of(KindPasskey) {
		var credential webauthn.Credential
		if err := f.open(one, &credential); err != nil {
			return o, err
		}
		credential.Authenticator.SignCount = uint32(one.Counter) //nolint:gosec // it was made from one
		o.credentials = append(o.credentials, credential)
	}
	return o, nil
}

// handle is who the user is to an authenticator: nothing that says it to
// others (Web Authentication, section 14.6.1).
func (f *Factors) handle(subject oidc.Subject) []byte {
	return f.key.Derive("user handle").MAC(string(subject))
}

func (f *Factors) question(session *webauthn.SessionData, options any) (Question, error) {
	encoded, err := json.Marshal(options)
	if err != nil {
		return Question{}, fmt.Errorf("encoding the options for a passkey: %w", err)
	}
	return Question{Session: *session, At: f.Now().Unix(), Options: encoded}, nil
}

// AskPasskey is the question for a login.
func (f *Factors) AskPasskey(user identity.User, has Set) (Question, error) {
	o, err := f.owner(user, has)
	if err != nil {
		return Question{}, err
	}
	options, session, err := f.web.BeginLogin(o)
	if err != nil {
		return Question{}, fmt.Errorf("asking for a passkey: %w", err)
	}
	return f.question(session, options.Response)
}

// AskNewPasskey is the question for a passkey that is none of those that the
// user has.
func (f *Factors) AskNewPasskey(user identity.User, has Set) (Question, error) {
	o, err := f.owner(user, has)
	if err != nil {
		return Question{}, err
	}
	var others []protocol.CredentialDescriptor
	for _, credential := range o.credentials {
		others = append(others, credential.Descriptor())
	}
	options, session, err := f.web.BeginRegistration(o, webauthn.WithExclusions(others))
	if err != nil {
		return Question{}, fmt.Errorf("asking for a new passkey: %w", err)
	}
	return f.question(session, options.Response)
}

// answered reports whether the question may be answered now, and that it was.
func (f *Factors) answered(ctx context.Context, q Question) error {
	put := time.Unix(q.At, 0)
	if age := f.Now().Sub(put); age < -time.Minute || age >= questionLifetime {
		return fmt.Errorf("%w: the answer of the passkey came too late", ErrWrong)
	}
	first, err := f.Storage.Spend(ctx, "passkey "+q.Session.Challenge, put.Add(questionLifetime+time.Minute))
	if err == nil && !first {
		return fmt.Errorf("%w: the question was answered before", ErrWrong)
	}
	return err
}

// CheckPasskey takes the answer to a question, as the browser's script posts
// it.
func (f *Factors) CheckPasskey(ctx context.Context, user identity.User, has Set, q Question, response secret.String) (Methods, error) {
	o, err := f.owner(user, has)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(response.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	at := -1
	for i := range o.credentials {
		if bytes.Equal(o.credentials[i].ID, parsed.RawID) {
			at = i
			o.credentials[i].Flags.BackupEligible = parsed.Response.AuthenticatorData.Flags.HasBackupEligible()
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("%w: the passkey is none of the user's", ErrWrong)
	}
	credential, err := f.web.ValidateLogin(o, q.Session, parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	if err := f.answered(ctx, q); err != nil {
		return nil, err
	}
	if credential.Authenticator.CloneWarning {
		return nil, ErrCloned
	}
	one := has.of(KindPasskey)[at]
	if err := f.sealInto(&one, credential); err != nil {
		return nil, err
	}
	return passkeyMethods(credential), f.use(ctx, one, int64(credential.Authenticator.SignCount))
}

// AddPasskey keeps the passkey that answered. With a person's first factor
// come the recovery codes, which are never shown again.
func (f *Factors) AddPasskey(ctx context.Context, n Newcomer, q Question, response secret.String) (codes []secret.String, how Methods, err error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(response.Reveal()))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	credential, err := f.web.CreateCredential(owner{handle: f.handle(n.User.Subject), user: n.User}, q.Session, parsed)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	if err := f.answered(ctx, q); err != nil {
		return nil, nil, err
	}
	credential.Attestation = webauthn.CredentialAttestation{} // none was asked
	one := f.factor(n, KindPasskey)
	one.Counter = int64(credential.Authenticator.SignCount)
	if err := f.sealInto(&one, credential); err != nil {
		return nil, nil, err
	}
	codes, err = f.enrol(ctx, n, one)
	return codes, passkeyMethods(credential), err
}

func passkeyMethods(c *webauthn.Credential) Methods {
	if c.Flags.BackupEligible {
		return Methods{"swk", "user"}
	}
	return Methods{"hwk", "user"}
}
