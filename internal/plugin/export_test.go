// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"errors"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/tokencache"
)

// ParseLists reads the flags that take lists and maps, for a comparison with
// pflag's own.
func ParseLists(args []string) (scopes []string, headers map[string]string, err error) {
	var flags getTokenFlags
	err = flags.define().Parse(args)
	return flags.extraScopes, flags.headers, err
}

// Setting is one line of a configuration file.
type Setting struct {
	Number      int
	Name, Value string
}

func ParseConfig(text string) ([]Setting, error) {
	lines, err := parseConfig(text)
	var settings []Setting
	for _, line := range lines {
		settings = append(settings, Setting{line.number, line.name, line.value})
	}
	return settings, err
}

// LogFlags are the names of the peer's log flags.
func LogFlags() []string { return logFlags[:] }

// Place is a place, for the table of choices.
type Place struct{ Desktop, Display, Terminal, Answers, SkipBrowser, Username, Password bool }

// Choose is the choice of the grant.
func Choose(p Place, asked string, offersDevice func() (bool, error)) (string, error) {
	chosen, err := place{p.Desktop, p.Display, p.Terminal, p.Answers, p.SkipBrowser, p.Username, p.Password}.choose(grant(asked), offersDevice)
	return string(chosen), err
}

// FlagWords are the words that setup writes for flags with these values.
func FlagWords(scopes []string, headers map[string]string) ([]string, error) {
	var flags getTokenFlags
	set := flags.define()
	flags.extraScopes, flags.headers = scopes, headers
	words, err := flagWords(set.Lookup("oidc-extra-scope"), Env{})
	more, err2 := flagWords(set.Lookup("oidc-request-header"), Env{})
	return append(words, more...), errors.Join(err, err2)
}

// APIServerFor is what setup says of the API server: its flags, the command
// that gives a role, and notes.
func APIServerFor(issuer, algorithm, claims string, authorities ...[]byte) (flags []string, binding, yaml string, notes []string, err error) {
	seen := seenToken{algorithm: algorithm}
	if err := json.Unmarshal([]byte(claims), &seen.claims); err != nil {
		return nil, "", "", nil, err
	}
	s := apiServerFor(request{identity: tokencache.Identity{Issuer: oidc.Issuer(issuer), ClientID: "kubernetes", Authorities: authorities}}, seen)
	return s.Flags, s.binding(), s.yaml(), s.notes, nil
}
