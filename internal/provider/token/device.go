// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// device is the device_code grant (RFC 8628, sections 3.4 and 3.5). When the
// end user has let the device in, its code is the code of a grant, and works
// as often as one: once.
func (h *Handler) device(ctx context.Context, r request) (offer, error) {
	code := secret.New(r.form.Get("device_code"))
	if code.IsZero() {
		return offer{}, invalidRequest("device_code is missing")
	}
	d, err := h.Grants.DeviceRequestByCode(ctx, grant.HashCode(code))
	if errors.Is(err, grant.ErrNotFound) {
		return offer{}, invalidGrant("the device code is unknown or has expired")
	}
	if err != nil {
		return offer{}, fmt.Errorf("finding the request of a device: %w", err)
	}
	now := h.Now()
	expired := &oidc.Error{Code: oidc.ExpiredToken, Description: "the device code has expired"}
	switch {
	case d.Client != r.client.ID:
		return offer{}, invalidGrant("the device code was issued to another client")
	case !now.Before(d.ExpiresAt):
		return offer{}, expired
	case d.Waits(now) && h.Pace.TooFast(d.ID, d.ExpiresAt):
		return offer{}, &oidc.Error{Code: oidc.SlowDown, Description: "ask less often: five seconds more between two requests"}
	case d.Waits(now):
		return offer{}, &oidc.Error{Code: oidc.AuthorizationPending, Description: "the end user has not decided yet"}
	case d.Grant == "":
		return offer{}, &oidc.Error{Code: oidc.AccessDenied, Description: "the end user said no"}
	}
	g, err := h.Grants.Grant(ctx, d.Grant)
	if errors.Is(err, grant.ErrNotFound) {
		return offer{}, expired
	}
	if err != nil {
		return offer{}, fmt.Errorf("finding the grant of a device: %w", err)
	}
	return h.redeem(ctx, r, g, expired)
}
