// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
)

// Groups are those of local users.
type Groups interface {
	// GroupSizes returns all, ordered by name.
	GroupSizes(ctx context.Context) ([]local.GroupSize, error)
	// AddGroup returns identity.ErrExists if there is one of that name.
	AddGroup(ctx context.Context, name string, now time.Time) error
	// DeleteGroup returns local.ErrNoGroup if there is none.
	DeleteGroup(ctx context.Context, name string) error
	// AddMember returns local.ErrNoGroup or identity.ErrNotFound.
	AddMember(ctx context.Context, group string, subject oidc.Subject) error
	RemoveMember(ctx context.Context, group string, subject oidc.Subject) (bool, error)
}

// The commands that do what the acts do.
const (
	addGroup     = "tegata group add"
	deleteGroup  = "tegata group delete"
	addMember    = "tegata group add-member"
	removeMember = "tegata group remove-member"
)

func (h *Handler) declaredGroups(v *visit) (names []string, err error) {
	groups, err := h.Storage.GroupSizes(v.r.Context())
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	for _, group := range groups {
		if group.Declared {
			names = append(names, group.Name)
		}
	}
	return names, nil
}

func (h *Handler) findGroup(v *visit, name string) (local.GroupSize, error) {
	groups, err := h.Storage.GroupSizes(v.r.Context())
	if err != nil {
		return local.GroupSize{}, fmt.Errorf("listing groups: %w", err)
	}
	at := slices.IndexFunc(groups, func(g local.GroupSize) bool { return g.Name == name })
	if at < 0 {
		return local.GroupSize{}, local.ErrNoGroup
	}
	return groups[at], nil
}

// managedGroup finds a group that may be changed here, or says why there is
// none.
func (h *Handler) managedGroup(v *visit, name string) (local.GroupSize, page.ConsoleOutcome, error) {
	group, err := h.findGroup(v, name)
	switch {
	case errors.Is(err, local.ErrNoGroup):
		return group, page.GroupIsGone, nil
	case err != nil:
		return group, page.NoOutcome, err
	case group.Declared:
		return group, page.IsDeclared, nil
	}
	return group, page.NoOutcome, nil
}

// groups shows them by name: a part of the list that begins after one.
func (h *Handler) groups(v *visit) error {
	groups, err := h.Storage.GroupSizes(v.r.Context())
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	shown := page.ConsoleGroupList{
		Console: h.frame(v, page.ConsoleGroups, "tegata group list", addGroup+" NAME"), Name: v.query.Get("name"), Local: h.Passwords != nil,
	}
	for _, group := range groups {
		if group.Name <= v.query.Get("after") {
			continue
		}
		if len(shown.Entries) == perPage {
			shown.Next = shown.Entries[perPage-1].Name
			break
		}
		shown.Entries = append(shown.Entries, page.ConsoleGroupEntry(group))
	}
	h.Pages.ConsoleGroupList(v.w, v.r, shown)
	return nil
}

func (h *Handler) addGroup(v *visit) error {
	const back = "/admin/groups"
	typed, err := v.typed("name")
	if err != nil || !h.mayChange(v, back, typed) {
		return err
	}
	name := typed.Get("name")
	if err := local.CheckGroup(name); err != nil {
		h.leave(v, back, typed, page.ConsoleNotice{What: page.NotValid, Detail: err.Error()})
		return nil
	}
	switch err := h.Storage.AddGroup(v.r.Context(), name, h.Now()); {
	case errors.Is(err, identity.ErrExists):
		h.leave(v, back, typed, page.ConsoleNotice{What: page.NameIsTaken, About: name})
		return nil
	case err != nil:
		return fmt.Errorf("adding the group: %w", err)
	}
	h.record(v, addGroup, audit.Event{Object: name})
	h.leave(v, "/admin/group", typed, page.ConsoleNotice{What: page.GroupAdded, About: name})
	return nil
}

func (h *Handler) group(v *visit) error {
	name := v.query.Get("name")
	found, err := h.findGroup(v, name)
	if errors.Is(err, local.ErrNoGroup) {
		h.leave(v, "/admin/groups", nil, page.ConsoleNotice{What: page.GroupIsGone, About: name})
		return nil
	}
	if err != nil {
		return err
	}
	shown := page.ConsoleGroup{
		Console: h.frame(v, page.ConsoleGroups, addMember+" GROUP NAME", removeMember+" GROUP NAME", deleteGroup+" GROUP"),
		Entry:   page.ConsoleGroupEntry(found), Member: v.query.Get("member"),
	}
	members, next, err := h.Storage.AccountPage(v.r.Context(), local.Filter{Group: name}, h.part(v, "after"))
	if err != nil {
		return listing("members", err)
	}
	for _, account := range members {
		shown.Members = append(shown.Members, h.entry(account))
	}
	shown.Next = next
	h.Pages.ConsoleGroup(v.w, v.r, shown)
	return nil
}

func (h *Handler) changeGroup(v *visit) error {
	name := v.form.Get("name")
	switch v.form.Get("act") {
	case "add-member", "remove-member":
		return h.changeMember(v, name, "/admin/group")
	case "delete":
	default:
		return errUnknownAct
	}
	query := url.Values{"name": {name}}
	if !h.mayChange(v, "/admin/group", query) {
		return nil
	}
	_, outcome, err := h.managedGroup(v, name)
	if err != nil {
		return err
	}
	switch {
	case outcome != page.NoOutcome:
	case v.form.Get("confirm") != name:
		outcome = page.NotConfirmed
	case h.locksOut(v, name):
		outcome = page.LocksYouOut
	default:
		switch err := h.Storage.DeleteGroup(v.r.Context(), name); {
		case errors.Is(err, local.ErrNoGroup):
			outcome = page.GroupIsGone
		case err != nil:
			return fmt.Errorf("deleting the group: %w", err)
		default:
			outcome = page.GroupDeleted
			h.record(v, deleteGroup, audit.Event{Object: name})
		}
	}
	if outcome == page.GroupDeleted || outcome == page.GroupIsGone {
		h.leave(v, "/admin/groups", nil, page.ConsoleNotice{What: outcome, About: name})
		return nil
	}
	h.leave(v, "/admin/group", query, page.ConsoleNotice{What: outcome, About: name})
	return nil
}

// locksOut reports whether who administers would not see these pages any more
// without a group of this server.
func (h *Handler) locksOut(v *visit, group string) bool {
	return v.user.Source == local.SourceName && !h.Administrators.without(v.user.Groups, group)
}

// changeMember puts a user into a group, or takes them out. Both pages have a
// form for it: one knows the user, the other one the group.
func (h *Handler) changeMember(v *visit, group, back string) error {
	ctx := v.r.Context()
	subject, login := v.form.Get("subject"), strings.TrimSpace(v.form.Get("member"))
	query := url.Values{"subject": {subject}}
	if back == "/admin/group" {
		query = url.Values{"name": {group}}
		if login != "" {
			query.Set("member", login)
		}
	}
	if len(query.Encode()) > maxForm {
		return errUnknownAct
	}
	if !h.mayChange(v, back, query) {
		return nil
	}
	add := v.form.Get("act") == "add-member"
	find := func() (local.Account, error) { return h.Storage.AccountBySubject(ctx, oidc.Subject(subject)) }
	if subject == "" {
		find = func() (local.Account, error) { return h.Storage.AccountByLogin(ctx, login) }
	}
	account, err := find()
	if errors.Is(err, identity.ErrNotFound) {
		h.leave(v, back, query, page.ConsoleNotice{What: page.UserIsGone, About: subject + login})
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the user: %w", err)
	}
	_, outcome, err := h.managedGroup(v, group)
	if err != nil {
		return err
	}
	notice := page.ConsoleNotice{What: outcome, About: group}
	switch member := slices.Contains(account.Groups, group); {
	case outcome != page.NoOutcome:
	case account.Source != local.SourceName:
		notice = page.ConsoleNotice{What: page.NotPossible, About: account.Username}
	case member == add:
		notice = page.ConsoleNotice{What: page.NothingToChange}
	case !add && account.Subject == v.user.Subject && h.locksOut(v, group):
		notice = page.ConsoleNotice{What: page.LocksYouOut}
	case add:
		err = h.Storage.AddMember(ctx, group, account.Subject)
		notice = page.ConsoleNotice{What: page.MemberAdded, About: account.Username}
	default:
		_, err = h.Storage.RemoveMember(ctx, group, account.Subject)
		notice = page.ConsoleNotice{What: page.MemberRemoved, About: account.Username}
	}
	switch {
	case errors.Is(err, local.ErrNoGroup):
		notice = page.ConsoleNotice{What: page.GroupIsGone, About: group}
	case errors.Is(err, identity.ErrNotFound):
		notice = page.ConsoleNotice{What: page.UserIsGone, About: account.Username}
	case err != nil:
		return fmt.Errorf("changing the members of a group: %w", err)
	case notice.What == page.MemberAdded:
		h.record(v, addMember, audit.Event{Subject: account.Subject, Object: group})
	case notice.What == page.MemberRemoved:
		h.record(v, removeMember, audit.Event{Subject: account.Subject, Object: group})
	}
	if notice.What.Done() {
		query.Del("member")
	}
	h.leave(v, back, query, notice)
	return nil
}
