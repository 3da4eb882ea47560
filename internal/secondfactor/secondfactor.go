// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package secondfactor is what a person has besides a password: an app that
// shows one-time passwords (RFC 6238), a passkey (Web Authentication), and a
// sheet of recovery codes for the day when both are lost.
//
// It keeps them sealed, says who needs one, and checks each proof so that it
// is good once: a one-time password by its step, a passkey by its question and
// its counter, a recovery code by its place on the sheet. What it cannot read
// or does not know is an error, never a reason to go on without. Who may try
// how often is the caller's business; the login and the page where people
// manage their factors use it.
//
//   - secondfactor.go: what is kept, and who needs one
//   - check.go: proofs
//   - enrol.go: new ones
//   - totp.go, passkey.go, recovery.go: the kinds
package secondfactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
)

// Kind is what a factor is.
type Kind string

// The kinds.
const (
	KindTOTP     Kind = "totp"
	KindPasskey  Kind = "passkey"
	KindRecovery Kind = "recovery" // a sheet of codes; a help for those who have one of the others
)

// Factor is one of a person's second factors, as it is kept.
type Factor struct {
	ID           string
	Subject      oidc.Subject
	Kind         Kind
	Name         string // as its owner calls it; may be empty
	SealedSecret string
	// Counter grows with each use, so that no proof is good twice: the step of
	// a one-time password, the signature counter of a passkey, how many codes
	// of a sheet were used.
	Counter   int64
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
}

// Left is how many codes of a sheet are still good.
func (f Factor) Left() int { return max(recoveryCodes-int(f.Counter), 0) }

var (
	// ErrNotFound means that the person has no such factor.
	ErrNotFound = errors.New("no such second factor")
	// ErrWrong means that the proof is none: a wrong code, one that was used,
	// an answer to another question.
	ErrWrong = errors.New("this does not prove a second factor")
	// ErrCloned is an ErrWrong: the counter of a passkey went back, so there
	// may be two of it.
	ErrCloned = fmt.Errorf("%w: the counter of the passkey went back, there may be a copy of it", ErrWrong)
	// ErrOvertaken means that something came between: all logins of the user
	// were ended, or somebody else enrolled the first factor.
	ErrOvertaken = errors.New("overtaken by another change of the user's login")
	// ErrTooMany means that the person has as many as they may.
	ErrTooMany = fmt.Errorf("a person has %d second factors at the most", maxFactors)
)

// maxFactors bounds the rows of a person, besides the sheet.
const maxFactors = 10

// Storage keeps the factors of one issuer.
type Storage interface {
	// SecondFactors returns those of a subject, the oldest first.
	SecondFactors(ctx context.Context, subject oidc.Subject) ([]Factor, error)
	// EnrolSecondFactor keeps a new factor. It reports whether it is the
	// person's first; then the sheet is kept too, and one from before is not.
	// It returns ErrOvertaken and ErrTooMany.
	EnrolSecondFactor(ctx context.Context, e Enrolment) (first bool, err error)
	// ReplaceRecoverySheet keeps the sheet in the place of the one before. It
	// returns ErrNotFound if the person has no other factor.
	ReplaceRecoverySheet(ctx context.Context, sheet Factor) error
	// UseSecondFactor keeps the secret, the counter and the time of a factor
	// whose counter is still the one given; it returns ErrWrong otherwise.
	UseSecondFactor(ctx context.Context, f Factor, counter int64) error
	// RemoveSecondFactor returns ErrNotFound if the person has no such factor.
	// The sheet goes with the last of the others.
	RemoveSecondFactor(ctx context.Context, subject oidc.Subject, id string) error
	// Spend keeps an identifier until a time, and reports whether it was not
	// there yet.
	Spend(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// Enrolment is a new factor on its way to the storage.
type Enrolment struct {
	Factor Factor
	Sheet  Factor // for a person's first factor
	Epoch  int64  // of the user, as it was when they proved who they are
	// OnlyFirst refuses the factor if there is one already: who logs in with a
	// password alone may add the first, and nobody else's second.
	OnlyFirst bool
	Most      int
}

// Policy says who needs a second factor.
type Policy struct {
	Required bool     // everybody
	Groups   []string // people in any of these
	// Exempt are the sources that ask for a second factor themselves.
	Exempt []string
}

// Factors are the second factors of one issuer.
type Factors struct {
	Storage Storage
	Policy  Policy
	Now     func() time.Time

	key  seal.Key
	name string             // of the issuer, in apps and authenticators
	web  *webauthn.WebAuthn // nil: no passkeys
}

// New makes the second factors of an issuer. The key seals their secrets.
func New(issuer oidc.Issuer, storage Storage, key seal.Key, policy Policy, now func() time.Time) (*Factors, error) {
	u, err := url.Parse(string(issuer))
	if err != nil {
		return nil, err
	}
	f := &Factors{Storage: storage, Policy: policy, Now: now, key: key, name: u.Host + strings.TrimSuffix(u.Path, "/")}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		// Web Authentication, section 5.1.2: the relying party ID is a domain.
		return f, nil
	}
	f.web, err = webauthn.New(&webauthn.Config{
		RPID:          u.Hostname(),
		RPDisplayName: f.name,
		RPOrigins:     []string{u.Scheme + "://" + u.Host},
		// Which make it is does not matter, so none is asked (section 5.4.7).
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationRequired,
		},
		// None is requested and none is read.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys for %s: %w", issuer, err)
	}
	return f, nil
}

// Passkeys reports whether the issuer can have passkeys: at an address of
// numbers it cannot.
func (f *Factors) Passkeys() bool { return f.web != nil }

// Required reports whether the user must have a second factor, whatever the
// client. byClient says that the client wants one.
func (f *Factors) Required(user identity.User, byClient bool) bool {
	if slices.Contains(f.Policy.Exempt, user.Source) {
		return false
	}
	return byClient || f.Policy.Required ||
		slices.ContainsFunc(user.Groups, func(group string) bool { return slices.Contains(f.Policy.Groups, group) })
}

// Set is what a person has.
type Set []Factor

// Of returns what the subject has. A kind that this program does not know is
// an error: it was made by a newer one, and asking for less would be wrong.
func (f *Factors) Of(ctx context.Context, subject oidc.Subject) (Set, error) {
	found, err := f.Storage.SecondFactors(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("reading the second factors: %w", err)
	}
	for _, one := range found {
		switch one.Kind {
		case KindTOTP, KindPasskey, KindRecovery:
		default:
			return nil, fmt.Errorf("the second factor %s is of the kind %q, which this program does not know", one.ID, one.Kind)
		}
	}
	return found, nil
}

// Enrolled reports whether the person has any. A sheet alone is none.
func (s Set) Enrolled() bool { return s.Has(KindTOTP) || s.Has(KindPasskey) }

// Has reports whether there is one of the kind that is good for something.
func (s Set) Has(kind Kind) bool {
	return slices.ContainsFunc(s, func(f Factor) bool { return f.Kind == kind && (kind != KindRecovery || f.Left() > 0) })
}

// of are those of one kind.
func (s Set) of(kind Kind) Set {
	return slices.DeleteFunc(slices.Clone(s), func(f Factor) bool { return f.Kind != kind })
}

// place is what a sealed secret is bound to: rows cannot be swapped.
func (f Factor) place() string {
	return "second factor " + string(f.Kind) + " " + f.ID + " of " + string(f.Subject)
}

func (f *Factors) sealInto(one *Factor, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a second factor: %w", err)
	}
	one.SealedSecret = f.key.Seal(plain, one.place())
	return nil
}

func (f *Factors) open(one Factor, into any) error {
	plain, err := f.key.Open(one.SealedSecret, one.place())
	if err == nil {
		err = json.Unmarshal(plain, into)
	}
	if err != nil {
		return fmt.Errorf("opening the second factor %s: %w", one.ID, err)
	}
	return nil
}
