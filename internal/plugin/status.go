// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/tokencache"
)

// statusFlags are the flags of status.
type statusFlags struct {
	issuer   string
	clientID string
	cacheDir string
	output   string
	config   string
	help     bool
}

func (f *statusFlags) define() *pflag.FlagSet {
	set := newFlagSet("status")
	set.StringVar(&f.issuer, "oidc-issuer-url", "", "show this issuer `URL` alone")
	set.StringVar(&f.clientID, "oidc-client-id", "", "show this client `ID` alone")
	defineCacheDir(set, &f.cacheDir)
	set.StringVarP(&f.output, "output", "o", "table", "`form` of the result: table, json")
	defineConfig(set, &f.config)
	set.BoolVarP(&f.help, "help", "h", false, "show this text")
	return set
}

func defineCacheDir(set *pflag.FlagSet, dir *string) {
	set.StringVar(dir, "token-cache-dir", "", "`folder` of the token cache (default $KUBECACHEDIR/oidc-login or ~/.kube/cache/oidc-login)")
}

// loggedIn is one login, as people and programs may see it.
type loggedIn struct {
	Issuer      oidc.Issuer   `json:"issuer"`
	ClientID    oidc.ClientID `json:"client_id"`
	Subject     oidc.Subject  `json:"subject"`
	Username    string        `json:"username,omitempty"`
	Email       string        `json:"email,omitempty"`
	Groups      []string      `json:"groups"`
	ValidUntil  *time.Time    `json:"valid_until,omitempty"` // absent if there is no token for the API server
	Valid       bool          `json:"valid"`
	Refreshable bool          `json:"refreshable"`
	Storage     string        `json:"storage"`
	File        string        `json:"file,omitempty"`
}

// describe reads what the ID token says. It was verified when it came; nobody
// is asked now.
func describe(tokens tokencache.Tokens, file string, now time.Time) loggedIn {
	l := loggedIn{
		Issuer: tokens.Issuer, ClientID: tokens.ClientID, Subject: tokens.Subject, Groups: []string{},
		Refreshable: !tokens.RefreshToken.IsZero(), Storage: storageDisk, File: file,
	}
	if tokens.Sealed {
		l.Storage = storageKeyring
	}
	if !tokens.Bearer().IsZero() && !tokens.Expiry.IsZero() {
		until := tokens.Expiry.UTC()
		l.ValidUntil, l.Valid = &until, now.Before(until)
	}
	_, rest, _ := strings.Cut(tokens.IDToken.Reveal(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var claims oidc.Claims
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return l
	}
	l.Username, _ = claims.Other["preferred_username"].(string)
	l.Email, _ = claims.Other["email"].(string)
	for _, claim := range []string{"groups", "cognito:groups"} {
		list, ok := claims.Other[claim].([]any)
		if !ok {
			continue
		}
		for _, group := range list {
			if name, ok := group.(string); ok {
				l.Groups = append(l.Groups, name)
			}
		}
		break
	}
	return l
}

// person is the name that they know themselves by.
func (l loggedIn) person() string {
	for _, name := range []string{l.Username, l.Email} {
		if name != "" {
			return printable(name)
		}
	}
	if l.Subject == "" {
		return "somebody" // there may be an access token alone
	}
	return printable(string(l.Subject))
}

// until says when the token for the API server ends.
func (l loggedIn) until() string {
	switch {
	case l.ValidUntil == nil:
		return "-"
	case !l.Valid:
		return "expired"
	}
	return clock(*l.ValidUntil)
}

// status is the command status.
func status(ctx context.Context, env Env, args []string) error {
	var flags statusFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "status")
	}
	if flags.output != "table" && flags.output != "json" {
		return exit.Misuse("it is one of table, json", "there is no --output=%s", flags.output)
	}
	cache, _ := cacheAt(flags.cacheDir, env.Lookup)
	entries, err := cache.List(ctx)
	env.trace.step("cache: %d entries in %s", len(entries), cache.Dir)
	if err != nil && entries == nil {
		return adviseKeyring(fmt.Errorf("reading the token cache: %w", err))
	}
	if err != nil {
		fmt.Fprintf(env.Stderr, "warning: not all of the token cache can be read: %v\n", err)
	}
	found := []loggedIn{}
	for _, entry := range selectEntries(entries, flags.issuer, flags.clientID) {
		found = append(found, describe(entry.Tokens, entry.Path, env.Now()))
	}
	if len(found) == 0 {
		fmt.Fprintln(env.Stderr, nobody(cache, flags.issuer, flags.clientID))
	}
	if flags.output == "json" {
		encoder := json.NewEncoder(env.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string][]loggedIn{"logins": found})
	}
	if len(found) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PERSON\tISSUER\tCLIENT\tGROUPS\tVALID UNTIL\tREFRESHABLE\tSTORAGE\tFILE")
	for _, l := range found {
		groups, refreshable := printable(strings.Join(l.Groups, ",")), "no"
		if groups == "" {
			groups = "-"
		}
		if l.Refreshable {
			refreshable = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			l.person(), printable(string(l.Issuer)), printable(string(l.ClientID)), groups, l.until(), refreshable, l.Storage, printable(l.File))
	}
	return table.Flush()
}

// selectEntries are those of the issuer and of the client, if they are named.
func selectEntries(entries []tokencache.Listed, issuer, clientID string) []tokencache.Listed {
	var selected []tokencache.Listed
	for _, entry := range entries {
		if (issuer == "" || string(entry.Tokens.Issuer) == issuer) && (clientID == "" || string(entry.Tokens.ClientID) == clientID) {
			selected = append(selected, entry)
		}
	}
	return selected
}

// nobody says that nobody is logged in, and where that was looked up.
func nobody(cache tokencache.Cache, issuer, clientID string) string {
	text := "nobody is logged in"
	if issuer != "" {
		text += " at " + issuer
	}
	if clientID != "" {
		text += " with the client " + clientID
	}
	return text + "; the token cache is " + cache.Dir
}

// clock writes a time for people and programs alike.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable makes a text of somebody else's safe for a terminal, on one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
}
