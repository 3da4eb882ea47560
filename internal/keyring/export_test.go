// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"context"
	"time"
)

func Within(ctx context.Context, limit time.Duration, act func() error) error {
	return within(ctx, limit, act)
}
