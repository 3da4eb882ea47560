// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// What GitHub's REST API says, as far as we read it.
type (
	account struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
		Email string `json:"email"` // the public one
	}
	address struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	organization struct {
		Login string `json:"login"`
	}
	team struct {
		Name         string       `json:"name"`
		Slug         string       `json:"slug"`
		Organization organization `json:"organization"`
	}
)

// user asks who it is whose access token this is.
func (g *GitHub) user(ctx context.Context, token secret.String) (identity.User, error) {
	// 1. The account.
	var who account
	if _, _, err := g.ask(ctx, token, "/user", &who); err != nil {
		return identity.User{}, err
	}
	// 2. Its addresses, organizations and teams.
	var addresses []address
	if _, err := list(ctx, g, token, "/user/emails", &addresses); err != nil {
		return identity.User{}, err
	}
	var organizations []organization
	partial, err := list(ctx, g, token, "/user/orgs", &organizations)
	if err != nil {
		return identity.User{}, err
	}
	var teams []team
	if _, err := list(ctx, g, token, "/user/teams", &teams); err != nil {
		return identity.User{}, err
	}
	if partial {
		if err := g.searchHidden(ctx, token, organizations); err != nil {
			return identity.User{}, err
		}
	}
	return g.config.user(who, addresses, organizations, teams)
}

// user makes a user of what the API said, and refuses who may not come.
func (c GitHubConfig) user(who account, addresses []address, organizations []organization, teams []team) (identity.User, error) {
	if who.ID <= 0 || len(who.Login) > maxSubject || !login.MatchString(who.Login) {
		return identity.User{}, errors.New("GitHub did not say who the user is")
	}
	user := identity.User{Username: who.Login, Name: who.Name, Source: c.Name}
	var err error
	if user.Subject, err = subject(c.Name, fmt.Sprint(who.ID)); err != nil {
		return identity.User{}, err
	}
	user.Email, user.EmailVerified = c.email(addresses)
	if len(addresses) == 0 {
		user.Email = who.Email // of which GitHub does not say whether it is verified
	}
	if strings.ContainsFunc(user.Email+user.Name, func(letter rune) bool { return letter < 0x20 || letter == 0x7f }) {
		return identity.User{}, errors.New("the e-mail address or the name has control characters in it")
	}
	for _, o := range organizations {
		if o.Login != "" && c.counts(o.Login) {
			user.Groups = append(user.Groups, o.Login)
		}
	}
	if len(c.Organizations) > 0 && len(user.Groups) == 0 {
		return identity.User{}, &NotAllowedError{"only members of certain organizations may log in from there, and this account is in none of them"}
	}
	for _, t := range teams {
		name := t.Slug
		if c.TeamNames == TeamName {
			name = t.Name
		}
		if name != "" && t.Organization.Login != "" && c.counts(t.Organization.Login) {
			user.Groups = append(user.Groups, t.Organization.Login+":"+name)
		}
	}
	user.Groups = tidy(user.Groups)
	return user, c.Admission.refuse(user.Email, user.EmailVerified, user.Groups)
}

// login is what GitHub allows as a user name; underscores are in those of
// enterprises.
var login = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// counts reports whether groups of the organization are told. Anybody can make
// an organization of any free name, so only those count that the configuration
// names.
func (c GitHubConfig) counts(organization string) bool {
	return slices.ContainsFunc(c.Organizations, func(name string) bool { return strings.EqualFold(name, organization) })
}

// email is the primary address; but where only some domains may come, the
// first verified one of these.
func (c GitHubConfig) email(addresses []address) (string, bool) {
	if len(c.AllowedEmailDomains) > 0 {
		primaryFirst := slices.Clone(addresses)
		slices.SortStableFunc(primaryFirst, func(a, b address) int {
			switch {
			case a.Primary == b.Primary:
				return 0
			case a.Primary:
				return -1
			}
			return 1
		})
		for _, a := range primaryFirst {
			if a.Verified && c.hasDomain(a.Email) {
				return a.Email, true
			}
		}
	}
	for _, a := range addresses {
		if a.Primary {
			return a.Email, a.Verified && a.Email != ""
		}
	}
	return "", false
}

// searchHidden looks for organizations that count and that GitHub left out,
// because they want a single sign-on that the person did not do in this
// browser. Who is in one of them would lose groups without a word.
func (g *GitHub) searchHidden(ctx context.Context, token secret.String, listed []organization) error {
	for _, name := range g.config.Organizations {
		if slices.ContainsFunc(listed, func(o organization) bool { return strings.EqualFold(o.Login, name) }) {
			continue
		}
		var membership struct {
			State string `json:"state"`
		}
		_, status, err := g.ask(ctx, token, "/user/memberships/orgs/"+url.PathEscape(name), &membership)
		switch {
		case status == http.StatusNotFound, status == http.StatusOK && err == nil && membership.State == "pending":
		case status == http.StatusOK && err == nil, status == http.StatusForbidden:
			return fmt.Errorf("GitHub does not tell whether the user is in the organization %s, which wants single sign-on; log in at %s/orgs/%s/sso first, then here again", name, g.config.BaseURL, name)
		default:
			return err
		}
	}
	return nil
}

// list reads all pages of a list. It reports whether GitHub left some of it
// out.
func list[T any](ctx context.Context, g *GitHub, token secret.String, path string, all *[]T) (partial bool, err error) {
	first, err := url.Parse(g.api + path)
	if err != nil {
		return false, err
	}
	for range maxPages {
		var page []T
		header, _, err := g.ask(ctx, token, path+withSize(path), &page)
		if err != nil {
			return false, err
		}
		*all = append(*all, page...)
		if strings.HasPrefix(strings.TrimSpace(header.Get("X-GitHub-SSO")), "partial-results") {
			partial = true
		}
		next := nextPage(header.Get("Link"))
		if next == "" {
			return partial, nil
		}
		following, err := sameOrigin(first, next)
		if err != nil {
			return false, err
		}
		if path, err = g.pathOf(following); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("the list at %s has no end", first)
}

// withSize asks for long pages, once.
func withSize(path string) string {
	if strings.Contains(path, "?") {
		return ""
	}
	return "?per_page=100"
}

// pathOf is an address without what leads to the API.
func (g *GitHub) pathOf(address string) (string, error) {
	path, ok := strings.CutPrefix(address, g.api)
	if !ok || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("the next page is said to be at %s, which is elsewhere", plain(address))
	}
	return path, nil
}

var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;[^<]*\brel="?next"?`)

// nextPage reads the header Link (RFC 8288).
func nextPage(header string) string {
	if found := nextLink.FindStringSubmatch(header); found != nil {
		return found[1]
	}
	return ""
}

// ask reads one document of the API. The status is 0 if there was no answer.
func (g *GitHub) ask(ctx context.Context, token secret.String, path string, document any) (http.Header, int, error) {
	r, err := g.request(ctx, http.MethodGet, path, secret.String{})
	if err != nil {
		return nil, 0, err
	}
	bearer(r, token)
	a, err := send(g.http, r)
	if err != nil {
		return nil, 0, err
	}
	if err := a.problem(); err != nil {
		return a.header, a.status, err
	}
	if json.Unmarshal(a.body, document) != nil {
		return a.header, a.status, fmt.Errorf("%s did not answer as GitHub's API does; check base_url", a.from)
	}
	return a.header, a.status, nil
}

// problem reads an answer of the API that is none.
func (a answer) problem() error {
	var said struct {
		Message string `json:"message"`
	}
	if a.status == http.StatusOK {
		return nil
	}
	_ = json.Unmarshal(a.body, &said) // a gateway may say it in another way
	said.Message = plain(said.Message)
	switch {
	case a.status == http.StatusUnauthorized:
		return fmt.Errorf("%w (%s: %s)", errUnauthorized, a.from, said.Message)
	case a.status == http.StatusForbidden && strings.Contains(strings.ToLower(said.Message), "suspended"):
		return &NotAllowedError{"this account is suspended at GitHub"}
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && a.header.Get("X-RateLimit-Remaining") == "0":
		return fmt.Errorf("GitHub has answered enough questions for now (%s); try again later", said.Message)
	case a.status == http.StatusForbidden, a.status == http.StatusNotFound:
		return fmt.Errorf("%s answered %s: %s; a GitHub app needs the permissions to read e-mail addresses and members", a.from, a.statusText(), said.Message)
	}
	return fmt.Errorf("%s answered %s: %s", a.from, a.statusText(), said.Message)
}

// request makes one request to the API.
func (g *GitHub) request(ctx context.Context, method, path string, body secret.String) (*http.Request, error) {
	var content io.Reader
	if !body.IsZero() {
		content = strings.NewReader(body.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, method, g.api+path, content)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	return r, nil
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(text string) bool { return slices.Contains(b, text) })
}
