// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package dex says in our words what a configuration file of Dex says, and
// what cannot be said: which settings have no equivalent, which behave
// differently, and what a person has left to do.
//
//   - dex.go: the conversion as a whole, and what it found
//   - section.go: reading Dex's file, and its unknown keys
//   - config.go: our configuration, as far as Dex has it
//   - server.go: issuer, addresses, keys, lifetimes
//   - people.go: static passwords and their groups
//   - clients.go: static clients
//   - connectors.go, ldap.go, upstream.go: connectors
//
// Each part of the result is shown to the caller's Check before it is taken
// over: what our own check refuses becomes a finding, so that the whole is
// always a good file. Client secrets leave as hashes, other secrets as files;
// neither the configuration nor a finding has one in the clear.
//
// Dex's database is not read. Only package admin imports this, for
// tegata config import.
package dex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/secret"
)

// Options are what a conversion needs from the outside.
type Options struct {
	Name   string                      // of the file, for messages
	Lookup func(string) (string, bool) // environment variables
	Check  func(Config) error          // why our own check refuses it, or nil
}

// Result is what became of a file.
type Result struct {
	Config      Config
	Suggestions []Suggestion
	Files       []File
	Findings    []Finding
}

// Suggestion is configuration that somebody has to complete.
type Suggestion struct {
	Why    string
	Config Config
}

// File stands beside the configuration, which names it.
type File struct {
	Name    string
	What    string // in words
	At      string // where in Dex's file its content is
	Line    int
	Content secret.String
}

// Kind says what a finding asks of a person.
type Kind string

// The kinds, the most urgent first.
const (
	Missing Kind = "missing" // Dex has it, we do not
	Next    Kind = "next"    // somebody has to do something
	Changed Kind = "changed" // it works, in another way
)

// Finding is something that a person should know.
type Finding struct {
	Kind Kind   `json:"kind"`
	At   string `json:"at"` // the key in Dex's file
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
	Do   string `json:"do,omitempty"`
}

// Convert reads a file of Dex, YAML or JSON. An error means that it is none,
// or that Dex itself would refuse it.
func Convert(text []byte, o Options) (*Result, error) {
	f := &file{name: o.Name}
	c := &conversion{options: o, file: f, sources: map[string]string{}, result: &Result{}}
	root := f.open(text)
	if f.err != nil {
		return nil, f.err
	}
	passwords := root.flag("enablePasswordDB")
	c.server(root)
	c.lifetimes(root)
	c.connectors(root, passwords)
	c.people(root, passwords)
	c.clients(root)
	c.unknownKeys()
	if f.err != nil {
		return nil, f.err
	}
	slices.SortStableFunc(c.result.Findings, func(a, b Finding) int { return a.Line - b.Line })
	return c.result, nil
}

// conversion is one file on its way.
type conversion struct {
	options Options
	file    *file
	result  *Result
	sources map[string]string // names of ours by the connector's ID in small letters
	pathed  bool              // the finding about relative paths is there
	shared  bool              // one source has the callback of Dex
}

// put changes the configuration, if our own check takes the change. It
// reports why not.
func (c *conversion) put(change func(*Config)) error {
	// Users, groups and clients are looked at one by one.
	alone := c.result.Config
	alone.Users, alone.Groups, alone.Clients = nil, nil, nil
	alone.Sources = append([]Source(nil), alone.Sources...)
	change(&alone)
	if err := c.options.Check(alone); err != nil {
		return err
	}
	change(&c.result.Config)
	return nil
}

// putOr is put; what is refused becomes a finding.
func (c *conversion) putOr(s *section, key, do string, change func(*Config)) bool {
	err := c.put(change)
	if err != nil {
		c.find(Missing, s, key, "not carried over: "+err.Error(), do)
	}
	return err == nil
}

func (c *conversion) find(kind Kind, s *section, key, text, do string) {
	c.result.Findings = append(c.result.Findings, Finding{Kind: kind, At: s.path(key), Line: s.lineOf(key), Text: text, Do: do})
}

func (c *conversion) missing(s *section, key, text, do string) { c.find(Missing, s, key, text, do) }
func (c *conversion) next(s *section, key, text, do string)    { c.find(Next, s, key, text, do) }
func (c *conversion) changed(s *section, key, text string)     { c.find(Changed, s, key, text, "") }

// path is a file that Dex names.
func (c *conversion) path(s *section, key string) string {
	name := c.expanded(s, key)
	if name != "" && !strings.HasPrefix(name, "/") && !c.pathed {
		c.pathed = true
		c.changed(s, key, "a relative path starts from the folder of the configuration file, not from the folder that the server was started in; look at each path")
	}
	return name
}

// expanded is a text in which Dex replaces environment variables. The
// conversion replaces those that it finds; ours never does.
func (c *conversion) expanded(s *section, key string) string {
	return c.replaced(s, key, s.text(key))
}

func (c *conversion) replaced(s *section, key, text string) string {
	value, names, unset := c.expand(text)
	switch {
	case len(unset) > 0:
		c.next(s, key, fmt.Sprintf("Dex reads it from the environment, and %s is not set now", strings.Join(unset, ", ")),
			"set it for this command, and import again")
		return text
	case len(names) > 0:
		c.changed(s, key, fmt.Sprintf("the value of %s was read now; it is not read again when the server starts", strings.Join(names, ", ")))
	}
	return value
}

// beside keeps what goes to a file of its own.
func (c *conversion) beside(s *section, key, name, what string, content secret.String) {
	c.result.Files = append(c.result.Files, File{Name: name, What: what, At: s.path(key), Line: s.lineOf(key), Content: content})
}

// once says no for what was seen before, in any case.
type once map[string]bool

func (o once) first(name string) bool {
	name = strings.ToLower(name)
	if o[name] {
		return false
	}
	o[name] = true
	return true
}
