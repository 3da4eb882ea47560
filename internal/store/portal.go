// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
)

// GrantsOf returns the newest live grants of a subject, at most so many.
func (i *Issuer) GrantsOf(ctx context.Context, subject oidc.Subject, most int, now time.Time) ([]grant.Grant, error) {
	grants, _, err := i.GrantList(ctx, GrantFilter{Subject: subject}, Page{Limit: most}, now)
	return grants, err
}

// SessionsOf returns the newest live sessions of a subject, at most so many.
func (i *Issuer) SessionsOf(ctx context.Context, subject oidc.Subject, most int, now time.Time) ([]session.Session, error) {
	sessions, _, err := i.SessionList(ctx, subject, Page{Limit: most}, now)
	return sessions, err
}
