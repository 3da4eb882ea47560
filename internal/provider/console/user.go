// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

// Passwords sets those of local accounts.
type Passwords interface {
	// Generate makes a password that the policy takes.
	Generate(owner identity.User) secret.String
	// SetPassword ends all logins of the user. A temporary one must be changed
	// at the first login.
	SetPassword(ctx context.Context, account local.Account, password secret.String, temporary bool) (local.NewPassword, error)
	// NewLink makes the token of a link on which the user sets a password.
	NewLink(account local.Account, purpose identity.LinkPurpose, until time.Time) (secret.String, error)
}

// Factors are second factors.
type Factors interface {
	SecondFactors(ctx context.Context, subject oidc.Subject) ([]secondfactor.Factor, error)
	// ResetSecondFactors removes all of them, ends all logins, and returns how
	// many there were.
	ResetSecondFactors(ctx context.Context, subject oidc.Subject, now time.Time) (removed int, err error)
}

// How long a link is good, as of the commands that make one.
const (
	invitationLifetime = 72 * time.Hour
	resetLifetime      = time.Hour
)

// missing is the answer to an address at which there is nothing.
func (h *Handler) missing(v *visit) error {
	h.Pages.Failure(v.w, v.r, http.StatusNotFound, page.Failure{Problem: page.NotFound})
	return nil
}

func (h *Handler) user(v *visit) error {
	ctx := v.r.Context()
	subject := oidc.Subject(v.query.Get("subject"))
	account, err := h.Storage.AccountBySubject(ctx, subject)
	if errors.Is(err, identity.ErrNotFound) {
		h.leave(v, "/admin/users", nil, page.ConsoleNotice{What: page.UserIsGone, About: string(subject)})
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the user: %w", err)
	}
	shown := page.ConsoleUser{
		Console: h.frame(v, page.ConsoleUsers, "tegata user show NAME", disableUser+" NAME", deleteUser+" NAME", setPassword+" NAME --temporary",
			makeLink+" NAME", unlockUser+" NAME", resetFactors+" NAME", addMember+" GROUP NAME", endSession+" --user NAME", endGrant+" --user NAME"),
		ConsoleUserEntry: h.entry(account),
		EmailVerified:    account.EmailVerified, Self: account.Subject == v.user.Subject, Seen: seen(account),
	}
	if account.Password.LockedUntil.After(h.Now()) {
		shown.LockedUntil = account.Password.LockedUntil
	}
	shown.Expires = account.Password.ExpiresAt
	if shown.Groups, err = h.memberships(v, account); err != nil {
		return err
	}
	factors, err := h.Storage.SecondFactors(ctx, subject)
	if err != nil {
		return fmt.Errorf("reading the second factors: %w", err)
	}
	for _, f := range factors {
		shown.Factors = append(shown.Factors, page.ConsoleFactor{Kind: string(f.Kind), Name: f.Name, Created: f.CreatedAt, Used: f.UsedAt})
	}
	if shown.Sessions, _, err = h.sessionList(v, subject, identity.Page{Limit: perPage}); err != nil {
		return err
	}
	if shown.Grants, _, err = h.grantList(v, subject, "", identity.Page{Limit: perPage}); err != nil {
		return err
	}
	ours := account.Source == local.SourceName
	shown.Acts = page.ConsoleUserActs{
		Disable:  !account.Declared && !account.Disabled && !shown.Self,
		Enable:   !account.Declared && account.Disabled,
		Unlock:   !shown.LockedUntil.IsZero(),
		Password: ours && !account.Declared && !shown.Self && h.Passwords != nil,
		Link:     ours && !account.Declared && !account.Disabled && h.Passwords != nil,
		Factors:  len(factors) > 0,
		Groups:   ours,
		Delete:   !account.Declared && !shown.Self && (ours || !account.Disabled),
	}
	h.Pages.ConsoleUser(v.w, v.r, shown)
	return nil
}

// memberships are the groups of a user. Those that another source, or the
// configuration file, has given are not taken away here.
func (h *Handler) memberships(v *visit, account local.Account) (memberships []page.ConsoleMembership, err error) {
	declared := []string{}
	if account.Source == local.SourceName {
		if declared, err = h.declaredGroups(v); err != nil {
			return nil, err
		}
	}
	for _, group := range account.Groups {
		ours := account.Source == local.SourceName
		memberships = append(memberships, page.ConsoleMembership{Name: group, Link: ours, Fixed: !ours || slices.Contains(declared, group)})
	}
	return memberships, nil
}

// seen stands for an account as a page shows it.
func seen(a local.Account) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %t %t %q %t %q", a.Subject, a.Source, a.Username, a.Email, a.Name,
		a.Disabled, a.Declared, a.PasswordHash, a.Password.MustChange, a.Groups))
	return hex.EncodeToString(sum[:8])
}

// The commands that do what the acts do.
const (
	disableUser  = "tegata user disable"
	enableUser   = "tegata user enable"
	unlockUser   = "tegata user unlock"
	setPassword  = "tegata user set-password"
	makeLink     = "tegata user reset-link"
	resetFactors = "tegata user factor reset"
	deleteUser   = "tegata user delete"
)

// userAct is an act on one user. It returns what came of it; an outcome of
// page.NothingToChange is not audited.
type userAct struct {
	commands  []string // that do the same
	confirmed bool     // the user name has to be typed
	self      bool     // who administers may do it to themselves
	declared  bool     // it may be done to a user of the configuration file
	onlyLocal bool
	do        func(*visit, local.Account) (page.ConsoleNotice, error)
}

func (h *Handler) userActs() map[string]userAct {
	return map[string]userAct{
		"disable":        {commands: []string{disableUser}, do: h.disable},
		"enable":         {commands: []string{enableUser}, do: h.enable},
		"unlock":         {commands: []string{unlockUser}, self: true, declared: true, onlyLocal: true, do: h.unlock},
		"end":            {commands: []string{endSession, endGrant}, confirmed: true, self: true, declared: true, do: h.endLogins},
		"password":       {commands: []string{setPassword}, onlyLocal: true, do: h.makePassword},
		"link":           {commands: []string{makeLink}, self: true, onlyLocal: true, do: h.makeLink},
		"remove-factors": {commands: []string{resetFactors}, confirmed: true, self: true, declared: true, do: h.resetFactors},
		"delete":         {commands: []string{deleteUser}, confirmed: true, do: h.deleteUser},
	}
}

// changeUser carries out an act on a user who is still as the page showed.
func (h *Handler) changeUser(v *visit) error {
	name := v.form.Get("act")
	if name == "add-member" || name == "remove-member" {
		return h.changeMember(v, v.form.Get("group"), "/admin/user")
	}
	act, ok := h.userActs()[name]
	if !ok {
		return errUnknownAct
	}
	query := url.Values{"subject": {v.form.Get("subject")}}
	if !h.mayChange(v, "/admin/user", query) {
		return nil
	}
	account, err := h.Storage.AccountBySubject(v.r.Context(), oidc.Subject(v.form.Get("subject")))
	if errors.Is(err, identity.ErrNotFound) {
		h.leave(v, "/admin/users", nil, page.ConsoleNotice{What: page.UserIsGone, About: v.form.Get("subject")})
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the user: %w", err)
	}
	notice := page.ConsoleNotice{About: account.Username}
	switch {
	case account.Declared && !act.declared:
		notice.What = page.IsDeclared
	case account.Subject == v.user.Subject && !act.self:
		notice.What = page.IsYourself
	case act.onlyLocal && (account.Source != local.SourceName || h.Passwords == nil):
		notice.What = page.NotPossible
	case v.form.Get("seen") != seen(account):
		notice.What = page.PageIsStale
	case act.confirmed && v.form.Get("confirm") != account.Username:
		notice.What = page.NotConfirmed
	default:
		notice, err = act.do(v, account)
		if errors.Is(err, identity.ErrNotFound) { // in this moment
			notice, err = page.ConsoleNotice{What: page.UserIsGone}, nil
		}
		if err != nil {
			return fmt.Errorf("the act %s on a user: %w", name, err)
		}
		notice.About = account.Username
		if done(notice.What) {
			for _, command := range act.commands {
				h.record(v, command, audit.Event{Subject: account.Subject, Source: account.Source})
			}
		}
	}
	if notice.What == page.UserDeleted || notice.What == page.UserIsGone {
		h.leave(v, "/admin/users", nil, notice)
		return nil
	}
	h.leave(v, "/admin/user", query, notice)
	return nil
}

// done reports whether an outcome is of something that was done.
func done(what page.ConsoleOutcome) bool { return what.Done() && what != page.NothingToChange }

func (h *Handler) disable(v *visit, a local.Account) (page.ConsoleNotice, error) {
	if a.Disabled {
		return page.ConsoleNotice{What: page.NothingToChange}, nil
	}
	return page.ConsoleNotice{What: page.UserIsDisabled}, h.Storage.SetDisabled(v.r.Context(), a.Subject, true, h.Now())
}

func (h *Handler) enable(v *visit, a local.Account) (page.ConsoleNotice, error) {
	if !a.Disabled {
		return page.ConsoleNotice{What: page.NothingToChange}, nil
	}
	return page.ConsoleNotice{What: page.UserIsEnabled}, h.Storage.SetDisabled(v.r.Context(), a.Subject, false, h.Now())
}

func (h *Handler) unlock(v *visit, a local.Account) (page.ConsoleNotice, error) {
	if !a.Password.LockedUntil.After(h.Now()) {
		return page.ConsoleNotice{What: page.NothingToChange}, nil
	}
	return page.ConsoleNotice{What: page.UserIsUnlocked}, h.Storage.ForgetFailures(v.r.Context(), a.Subject)
}

func (h *Handler) endLogins(v *visit, a local.Account) (page.ConsoleNotice, error) {
	return page.ConsoleNotice{What: page.LoginsEnded}, h.Storage.EndLogins(v.r.Context(), a.Subject, h.Now())
}

func (h *Handler) makePassword(v *visit, a local.Account) (page.ConsoleNotice, error) {
	password := h.Passwords.Generate(a.User)
	_, err := h.Passwords.SetPassword(v.r.Context(), a, password, true)
	return page.ConsoleNotice{What: page.PasswordMade, Secret: password}, err
}

func (h *Handler) makeLink(_ *visit, a local.Account) (page.ConsoleNotice, error) {
	if a.Disabled { // it would be good for nothing
		return page.ConsoleNotice{What: page.NotPossible}, nil
	}
	purpose, lifetime := identity.Reset, resetLifetime
	if a.PasswordHash == "" {
		purpose, lifetime = identity.Invitation, invitationLifetime
	}
	token, err := h.Passwords.NewLink(a, purpose, h.Now().Add(lifetime).Truncate(time.Second))
	if err != nil {
		return page.ConsoleNotice{}, err
	}
	return page.ConsoleNotice{What: page.LinkMade, Secret: h.LinkAddress(token)}, nil
}

func (h *Handler) resetFactors(v *visit, a local.Account) (page.ConsoleNotice, error) {
	removed, err := h.Storage.ResetSecondFactors(v.r.Context(), a.Subject, h.Now())
	if removed == 0 {
		return page.ConsoleNotice{What: page.NothingToChange}, err
	}
	return page.ConsoleNotice{What: page.FactorsRemoved}, err
}

// deleteUser keeps those whom a group of the configuration file names: the
// server would not start without. It also keeps those of other sources who are
// disabled: who is forgotten is let in again.
func (h *Handler) deleteUser(v *visit, a local.Account) (page.ConsoleNotice, error) {
	if a.Source == local.SourceName {
		declared, err := h.declaredGroups(v)
		if err != nil {
			return page.ConsoleNotice{}, err
		}
		if slices.ContainsFunc(a.Groups, func(group string) bool { return slices.Contains(declared, group) }) {
			return page.ConsoleNotice{What: page.MemberFixed}, nil
		}
	}
	err := h.Storage.DeleteAccount(v.r.Context(), a.Subject, h.Now())
	if errors.Is(err, local.ErrKeptOut) {
		return page.ConsoleNotice{What: page.KeptOut}, nil
	}
	return page.ConsoleNotice{What: page.UserDeleted}, err
}
