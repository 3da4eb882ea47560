// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"slices"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/provider/console"
	"github.com/tegata/tegata/internal/provider/page"
)

// checkAdministrators tells why groups cannot be those of the administrators,
// or returns nil. Whether there are such groups a file cannot know: other
// sources have theirs.
func (c IssuerConfig) checkAdministrators() error {
	for n, group := range c.Administrators {
		if err := local.CheckGroup(group); err != nil {
			return fmt.Errorf("administrators[%d]: %w", n, err)
		}
		if slices.Contains(c.Administrators[:n], group) {
			return fmt.Errorf("administrators: the group %q is given twice", group)
		}
	}
	return nil
}

// administration is what the administration pages of an issuer need.
func (c IssuerConfig) administration(opened *issuer, in *generation, trail auditConfig) provider.Administration {
	shown := trail.shown()
	shown.Whole = len(in.issuers) == 1
	return provider.Administration{
		Administrators: console.Administrators(c.Administrators), Keys: opened.keys, Trail: shown,
	}
}

// shown is where the administration pages find the events.
func (c auditConfig) shown() console.Trail {
	switch c.File {
	case "":
		return console.Trail{Place: page.TrailNowhere}
	case "-":
		return console.Trail{Place: page.TrailOnOutput}
	}
	return console.Trail{Place: page.TrailInFile, Files: audit.Files{Path: c.File}}
}
