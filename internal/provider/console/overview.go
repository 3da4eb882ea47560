// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"

	"github.com/tegata/tegata/internal/provider/page"
)

// Health is how the signing keys of this server are, as /readyz tells.
type Health interface {
	Ready() error
	Warnings() []string
}

func (h *Handler) overview(v *visit) error {
	shown := page.ConsoleHome{
		Console: h.frame(v, page.ConsoleOverview, "tegata user list", "tegata client list", "tegata key list"),
		Issuer:  string(h.Issuer), Sources: h.sources(), Warnings: h.warnings(),
	}
	var err error
	shown.Users, shown.Groups, shown.Clients, shown.Sessions, shown.Grants, err = h.Storage.Counts(v.r.Context(), h.Now())
	if err != nil {
		return fmt.Errorf("counting: %w", err)
	}
	if shown.Keys, err = h.keyList(v); err != nil {
		return err
	}
	h.Pages.ConsoleHome(v.w, v.r, shown)
	return nil
}

func (h *Handler) sources() (sources []page.ConsoleSource) {
	for _, m := range h.Sources.Members {
		sources = append(sources, page.ConsoleSource{Name: m.Name, Title: m.Words(), Elsewhere: m.Redirect != nil})
	}
	return sources
}

func (h *Handler) warnings() (warnings []string) {
	if err := h.Health.Ready(); err != nil {
		warnings = append(warnings, err.Error())
	}
	return append(warnings, h.Health.Warnings()...)
}
