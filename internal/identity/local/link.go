// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// link is what the token of a link holds, sealed. It has no row: the epoch
// makes it good once, because setting a password begins another one. So does
// whatever else ends all logins of the user.
type link struct {
	Purpose identity.LinkPurpose `json:"p"`
	Subject oidc.Subject         `json:"s"`
	Epoch   int64                `json:"e"`
	Until   int64                `json:"u"` // seconds since 1970
}

// linkContext is what a token is bound to besides its key.
const linkContext = "account link"

// maxLink is longer than any token that is made here.
const maxLink = 1024

// NewLink makes the token of a link on which the user sets a password. It
// returns identity.ErrNoPasswordChange for a user of another source, or of the
// configuration file.
func (s *Source) NewLink(account Account, purpose identity.LinkPurpose, until time.Time) (secret.String, error) {
	if !account.linkable() {
		return secret.String{}, identity.ErrNoPasswordChange
	}
	plain, err := json.Marshal(link{purpose, account.Subject, account.Epoch, until.Unix()})
	if err != nil {
		return secret.String{}, fmt.Errorf("encoding a link: %w", err)
	}
	return secret.New(s.LinkKey.Seal(plain, linkContext)), nil
}

func (a Account) linkable() bool { return a.Source == SourceName && !a.Declared }

// Link is who may set a password with the token, or identity.ErrLinkSpent. To
// look at a link does not use it up.
func (s *Source) Link(ctx context.Context, token secret.String) (identity.Link, error) {
	account, purpose, err := s.open(ctx, token)
	if err != nil {
		return identity.Link{}, err
	}
	return identity.Link{User: account.User, Purpose: purpose, Rules: s.Policy.Rules()}, nil
}

// Redeem sets the password of the user of a link, which is used up by it. It
// returns identity.ErrLinkSpent or a *identity.PasswordRefusedError.
func (s *Source) Redeem(ctx context.Context, token, password secret.String) (identity.Link, error) {
	account, purpose, err := s.open(ctx, token)
	if err != nil {
		return identity.Link{}, err
	}
	found := identity.Link{User: account.User, Purpose: purpose, Rules: s.Policy.Rules()}
	if flaws := s.Policy.Check(password, account.User); len(flaws) > 0 {
		return found, &identity.PasswordRefusedError{Flaws: flaws}
	}
	err = s.replace(ctx, account, password)
	if errors.Is(err, ErrOvertaken) {
		return identity.Link{}, identity.ErrLinkSpent
	}
	return found, err
}

func (s *Source) open(ctx context.Context, token secret.String) (Account, identity.LinkPurpose, error) {
	if len(token.Reveal()) > maxLink {
		return Account{}, "", identity.ErrLinkSpent
	}
	plain, err := s.LinkKey.Open(token.Reveal(), linkContext)
	var l link
	if err != nil || json.Unmarshal(plain, &l) != nil || s.now().Unix() >= l.Until {
		return Account{}, "", identity.ErrLinkSpent
	}
	account, err := s.Accounts.AccountBySubject(ctx, l.Subject)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return Account{}, "", identity.ErrLinkSpent
	case err != nil:
		return Account{}, "", fmt.Errorf("finding the user: %w", err)
	case account.Epoch != l.Epoch || account.Disabled || !account.linkable():
		return Account{}, "", identity.ErrLinkSpent
	}
	return account, l.Purpose, nil
}
