// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/signingkey"
)

const rotateKeys = "tegata key rotate"

func (h *Handler) keyList(v *visit) ([]page.ConsoleKey, error) {
	found, err := h.Keys.List(v.r.Context())
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	var keys []page.ConsoleKey
	for _, k := range found {
		keys = append(keys, page.ConsoleKey{
			ID: k.ID, Algorithm: k.Algorithm, State: string(k.State), Since: k.Since, Until: k.Until, SuccessorAt: k.SuccessorAt,
		})
	}
	return keys, nil
}

func (h *Handler) keys(v *visit) error {
	keys, err := h.keyList(v)
	if err != nil {
		return err
	}
	policy := h.Keys.Policy.WithDefaults()
	h.Pages.ConsoleKeyList(v.w, v.r, page.ConsoleKeyList{
		Console: h.frame(v, page.ConsoleKeys, "tegata key list", rotateKeys, rotateKeys+" --now", "tegata key revoke KEY-ID"),
		Keys:    keys, Warnings: h.warnings(), Algorithms: signingkey.Algorithms(), PublishAhead: plain(policy.PublishAhead), SafeLead: plain(policy.SafeLead()),
	})
	return nil
}

// plain is a duration as the configuration file has it: 24h, not 24h0m0s.
func plain(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (h *Handler) rotate(v *visit) error {
	const back = "/admin/keys"
	if !h.mayChange(v, back, nil) {
		return nil
	}
	atOnce := false
	switch v.form.Get("act") {
	case "rotate":
	case "rotate-now":
		if atOnce = true; v.form.Get("known") != "yes" {
			return errUnknownAct
		}
	default:
		return errUnknownAct
	}
	algs := signingkey.Algorithms()
	if alg := v.form.Get("alg"); alg != "" {
		if err := signingkey.CheckAlgorithm(alg); err != nil {
			return &refusal{page.BadRequest, err}
		}
		algs = []string{alg}
	}
	var made []string
	for _, alg := range algs {
		key, err := h.Keys.Rotate(v.r.Context(), alg, atOnce)
		if err != nil {
			return fmt.Errorf("replacing the %s signing key: %w", alg, err)
		}
		made = append(made, alg+" "+key.ID)
		h.record(v, rotateKeys, audit.Event{Object: key.ID})
	}
	h.leave(v, back, nil, page.ConsoleNotice{What: page.KeysRotated, About: strings.Join(made, ", ")})
	return nil
}
