// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
)

// People are the users of all sources.
type People interface {
	// AccountPage returns accounts with their groups, and where the list goes
	// on. It returns identity.ErrPage for a place that it did not return.
	AccountPage(ctx context.Context, filter local.Filter, page identity.Page) ([]local.Account, string, error)
	// AccountByLogin returns identity.ErrNotFound if there is none.
	AccountByLogin(ctx context.Context, login string) (local.Account, error)
	AccountBySubject(ctx context.Context, subject oidc.Subject) (local.Account, error)
	// Usernames returns the names of those subjects that are users.
	Usernames(ctx context.Context, subjects []oidc.Subject) (map[oidc.Subject]string, error)
	UserChanges
	Factors
}

const addUser = "tegata user add"

func (h *Handler) users(v *visit) error {
	shown := page.ConsoleUserList{
		Console: h.frame(v, page.ConsoleUsers, "tegata user list --search TEXT --source NAME", addUser+" NAME"),
		Search:  strings.TrimSpace(v.query.Get("q")), Source: v.query.Get("source"), Sources: h.sources(), Local: h.Passwords != nil,
	}
	accounts, next, err := h.Storage.AccountPage(v.r.Context(), local.Filter{Search: shown.Search, Source: shown.Source}, h.part(v, "after"))
	if err != nil {
		return listing("users", err)
	}
	for _, account := range accounts {
		shown.Users = append(shown.Users, h.entry(account))
	}
	shown.Next = next
	h.Pages.ConsoleUserList(v.w, v.r, shown)
	return nil
}

// part is which part of a list is asked for.
func (h *Handler) part(v *visit, parameter string) identity.Page {
	return identity.Page{Limit: perPage, After: v.query.Get(parameter)}
}

// listing tells an address that was made up from a storage that does not
// answer.
func listing(what string, err error) error {
	if errors.Is(err, identity.ErrPage) {
		return &refusal{page.BadRequest, err}
	}
	return fmt.Errorf("listing %s: %w", what, err)
}

func (h *Handler) entry(a local.Account) page.ConsoleUserEntry {
	e := page.ConsoleUserEntry{
		Subject: string(a.Subject), Username: cmp.Or(a.Username, string(a.Subject)), Name: a.Name, Email: a.Email, Source: a.Source, Declared: a.Declared,
	}
	if a.Disabled {
		e.States = append(e.States, page.StateDisabled)
	}
	if a.Source != local.SourceName {
		return e
	}
	if a.Password.LockedUntil.After(h.Now()) {
		e.States = append(e.States, page.StateLocked)
	}
	switch {
	case a.PasswordHash == "":
		e.States = append(e.States, page.StateNoPassword)
	case !a.Password.ExpiresAt.IsZero() && !h.Now().Before(a.Password.ExpiresAt):
		e.States = append(e.States, page.StateExpired)
	case a.Password.MustChange:
		e.States = append(e.States, page.StateMustChange)
	}
	return e
}

// newUser shows the form, with what the address has of it.
func (h *Handler) newUser(v *visit) error {
	if h.Passwords == nil {
		return h.missing(v)
	}
	groups, err := h.Storage.GroupSizes(v.r.Context())
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	shown := page.ConsoleNewUser{
		Console:  h.frame(v, page.ConsoleUsers, addUser+" NAME --no-password", "tegata user invite NAME"),
		Username: v.query.Get("username"), Email: v.query.Get("email"), Name: v.query.Get("name"), Group: v.query.Get("group"),
	}
	for _, group := range groups {
		if !group.Declared {
			shown.Groups = append(shown.Groups, group.Name)
		}
	}
	h.Pages.ConsoleNewUser(v.w, v.r, shown)
	return nil
}

func (h *Handler) addUser(v *visit) error {
	if h.Passwords == nil {
		return errUnknownAct
	}
	const back = "/admin/users/add"
	typed, err := v.typed("username", "email", "name", "group")
	if err != nil || !h.mayChange(v, back, typed) {
		return err
	}
	account := local.Account{User: identity.User{
		Username: typed.Get("username"), Email: typed.Get("email"), EmailVerified: true, Name: typed.Get("name"), Groups: []string{},
	}}
	if err := cmp.Or(local.CheckUsername(account.Username), local.CheckEmail(account.Email), checkName(account.Name)); err != nil {
		h.leave(v, back, typed, page.ConsoleNotice{What: page.NotValid, Detail: err.Error()})
		return nil
	}
	if group := typed.Get("group"); group != "" {
		if found, outcome, err := h.managedGroup(v, group); err != nil {
			return err
		} else if outcome != page.NoOutcome {
			h.leave(v, back, typed, page.ConsoleNotice{What: outcome, About: group})
			return nil
		} else {
			account.Groups = append(account.Groups, found.Name)
		}
	}
	account.Subject = local.NewSubject(account.Username)
	switch err := h.Storage.AddAccount(v.r.Context(), account, h.Now()); {
	case errors.Is(err, identity.ErrExists):
		h.leave(v, back, typed, page.ConsoleNotice{What: page.NameIsTaken, About: account.Username})
		return nil
	case errors.Is(err, local.ErrNoGroup): // it went meanwhile
		h.leave(v, back, typed, page.ConsoleNotice{What: page.GroupIsGone, About: typed.Get("group")})
		return nil
	case err != nil:
		return fmt.Errorf("adding the user: %w", err)
	}
	h.record(v, addUser, audit.Event{Subject: account.Subject})
	for _, group := range account.Groups {
		h.record(v, addMember, audit.Event{Subject: account.Subject, Object: group})
	}
	h.leave(v, "/admin/user", url.Values{"subject": {string(account.Subject)}}, page.ConsoleNotice{What: page.UserAdded, About: account.Username})
	return nil
}

// typed is what was typed into the fields of a form, for the page that shows
// it again. The password is not in any of these forms.
func (v *visit) typed(fields ...string) (url.Values, error) {
	values := url.Values{}
	for _, field := range fields {
		if text := strings.TrimSpace(v.form.Get(field)); text != "" {
			values.Set(field, text)
		}
	}
	if len(values.Encode()) > maxForm {
		return nil, &refusal{page.BadRequest, errors.New("a form with more text than any of ours takes")}
	}
	return values, nil
}

// checkName tells why a full name cannot be used, or returns nil.
func checkName(name string) error {
	if len(name) > 256 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("name %.60q is longer than 256 bytes, or has a character that cannot be printed", name)
	}
	return nil
}

// UserChanges are what becomes of users.
type UserChanges interface {
	// AddAccount returns identity.ErrExists or local.ErrNoGroup.
	AddAccount(ctx context.Context, account local.Account, now time.Time) error
	// SetDisabled and DeleteAccount end all logins too. They return
	// identity.ErrNotFound if there is no such user.
	SetDisabled(ctx context.Context, subject oidc.Subject, disabled bool, now time.Time) error
	// DeleteAccount also returns local.ErrKeptOut.
	DeleteAccount(ctx context.Context, subject oidc.Subject, now time.Time) error
	// EndLogins ends all sessions and grants.
	EndLogins(ctx context.Context, subject oidc.Subject, now time.Time) error
	ForgetFailures(ctx context.Context, subject oidc.Subject) error
}
