// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"fmt"
	"strings"

	"github.com/tegata/tegata/internal/secret"
)

// connectors become sources.
func (c *conversion) connectors(root *section, passwords bool) {
	all := root.sections("connectors")
	names := once{localConnector: true}
	for _, s := range all {
		c.connector(s, names)
	}
	if len(c.result.Config.Sources) == 0 {
		if passwords || len(all) == 0 {
			c.sources[localConnector] = localConnector
		}
		return
	}
	if passwords {
		c.sources[localConnector] = localConnector
		c.putOr(root, "enablePasswordDB", "", func(o *Config) { o.Sources = append(o.Sources, Source{Name: localConnector}) })
	}
}

func (c *conversion) connector(s *section, names once) {
	kind, id, title := s.text("type"), s.text("id"), s.text("name")
	config := s.section("config")
	if s.has("grantTypes") {
		c.missing(s, "grantTypes", "a source is for every grant", "clients[].grants and clients[].sources say what a client may use")
	}
	source := Source{Name: c.sourceName(s, id, kind, names), Title: title}
	if source.Title == source.Name {
		source.Title = ""
	}
	switch kind {
	case "ldap":
		c.ldap(config, &source)
	case "oidc":
		c.oidc(config, &source)
	case "google":
		c.google(config, &source)
	case "microsoft":
		c.microsoft(config, &source)
	case "github":
		c.github(config, &source)
	default:
		config.passBy()
		c.missing(s, "type", "its people cannot log in: "+noEquivalent(kind), "")
		return
	}
	files := len(c.result.Files)
	if c.putOr(s, "", "its people cannot log in; mend it, and import again", func(o *Config) { o.Sources = append(o.Sources, source) }) {
		c.sources[strings.ToLower(id)] = source.Name
		c.changed(s, "id", fmt.Sprintf("the claim sub of these people is %s:ID, in Dex something else; whoever is bound by e-mail address or group notices nothing", source.Name))
		return
	}
	c.result.Files = c.result.Files[:files]
}

// sourceName makes the connector's ID fit.
func (c *conversion) sourceName(s *section, id, kind string, names once) string {
	base := fit(id)
	if base == "" {
		base = fit(kind)
	}
	if base == "" {
		base = "source"
	}
	name := base
	for n := 2; !names.first(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	if name != id {
		c.changed(s, "id", fmt.Sprintf("the name of a source is of small letters, digits and hyphens, and local is taken: it is %s", name))
	}
	return name
}

func noEquivalent(kind string) string {
	switch kind {
	case "mockCallback", "mockPassword":
		return "a connector for tests lets everybody in, and there is none here"
	case "saml":
		return "there are no SAML sources; if the provider speaks OpenID Connect too, use oidc"
	case "gitlab":
		return "there are no sources for GitLab alone; it speaks OpenID Connect: use oidc, with the groups in the claim groups_direct"
	case "authproxy":
		return "nobody is believed because of a header"
	}
	return fmt.Sprintf("there are no sources of the kind %.40q; if the provider speaks OpenID Connect, use oidc", kind)
}

// kept is a secret of a connector: the name of a variable, or of a file that
// holds it.
func (c *conversion) kept(s *section, key, file, what string) (fileName, environment string) {
	text := s.text(key)
	if text == "" {
		return "", ""
	}
	if name, ok := variable(text); ok {
		return "", name
	}
	value, names, unset := c.expand(text)
	if len(names) > 0 {
		c.next(s, key, "Dex replaces what follows a dollar sign by environment variables, in secrets too", "see that the file holds what the other side knows")
		if len(unset) > 0 {
			value = text
		}
	}
	c.beside(s, key, file, what, secret.New(value+"\n"))
	return file, ""
}
