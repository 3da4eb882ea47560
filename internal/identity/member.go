// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Member is one of them. It takes passwords or it redirects.
type Member struct {
	Name         string // as in subjects and in the configuration
	Title        string // for people; empty: the name
	EmailDomains []string
	// UsernamePrefix and GroupsPrefix keep its names apart from those of
	// others.
	UsernamePrefix, GroupsPrefix string
	// KeepFor is how long a login goes on while the source cannot be asked.
	KeepFor time.Duration
	// OwnSecondFactor means that the source asks for one itself.
	OwnSecondFactor bool
	// SharedCallback means that the source redirects back to the address that
	// names no source. Only one of them all may: an answer must show by its
	// address whose it is (RFC 9700, section 4.4).
	SharedCallback bool

	Passwords Source
	Redirect  Redirecting
}

// Redirecting is a source whose users prove who they are at another place, to
// which the browser is sent.
type Redirecting interface {
	// Begin returns where the browser goes, but for the state, which the
	// caller adds. attempt is what Finish needs, and nobody else may know it.
	Begin(ctx context.Context, d Departure) (address string, attempt secret.String, err error)
	// Finish reads the answer. kept is with what the source can be asked
	// again; it may be empty. It returns a *DeniedError if the person, or a
	// rule, said no.
	Finish(ctx context.Context, redirectURI string, attempt secret.String, answer url.Values) (user User, kept secret.String, err error)
	// Refresh asks again. ErrNotFound or a *DeniedError mean that the source
	// does not vouch for the subject any more; any other error, that it could
	// not be asked. fresh takes the place of kept if it is not empty, also
	// beside an error.
	Refresh(ctx context.Context, subject oidc.Subject, kept secret.String) (user User, fresh secret.String, err error)
	// LogOut returns where the browser ends its session at the source, and
	// from where it comes back to redirectURI with the state. Empty: the source
	// has no such place, or is not to be told.
	LogOut(ctx context.Context, kept secret.String, redirectURI, state string) (address string, err error)
}

// Departure is how a browser is sent to a source.
type Departure struct {
	RedirectURI string // where the answer goes
	LoginHint   string // may be empty
	UILocales   string // may be empty
	Fresh       bool   // the credential must be given again
}

// Words is what people know the source by.
func (m Member) Words() string { return cmp.Or(m.Title, m.Name) }

// ChangesPasswords reports whether people can change their password here.
func (m Member) ChangesPasswords() bool {
	changer, ok := m.Passwords.(PasswordChanger)
	return ok && changer.ChangesPasswords()
}

// failed makes of an error that decides nothing an *UnavailableError.
func (m Member) failed(err error) error {
	if m.Name == Local || decides(err) {
		return err
	}
	return &UnavailableError{m.Name, err}
}
