// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/tokencache"
)

// coolDownTime is how long nobody is asked again after a login that gave
// nothing. kubectl starts a plugin that fails five times for one command, and
// a dashboard never stops.
const coolDownTime = 30 * time.Second

// coolingDown is the reason of the last login's failure if it is too early for
// another one. It never holds up a person who typed a new command at a
// terminal, --force-refresh, the command login, or a command line that is
// another than before.
func (n *renewal) coolingDown() error {
	if n.flags.forceRefresh || n.ahead > 0 {
		return nil
	}
	down, err := n.cache.ReadCooldown(n.key)
	if err != nil || down.Asked != n.asked() || down.Unreached {
		return nil
	}
	since := n.env.Now().Sub(down.Failed)
	if since < 0 || since >= coolDownTime {
		return nil
	}
	again := n.person.byKubectl && down.Parent == os.Getppid() // the same kubectl
	if n.person.watching && n.person.interactive && !again {
		return nil
	}
	left := (coolDownTime - since + time.Second - 1).Truncate(time.Second)
	return exit.WithHint(
		fmt.Errorf("a login came to nothing %s ago, and nobody is asked again for %s: %s", since.Truncate(time.Second), left, down.Reason),
		"log in at a terminal, then try again:\n"+n.person.command,
	)
}

// unreached is the failure of another process that has just asked the provider
// in vain, if it was started by the same kubectl, or while this one waited for
// its result. A provider that does not answer is waited for once, not five
// times, nor by each of many one after the other; the next command asks again.
func (n *renewal) unreached() error {
	down, err := n.cache.ReadCooldown(n.key)
	if err != nil || !down.Unreached || down.Asked != n.asked() || n.flags.forceRefresh || n.ahead > 0 {
		return nil
	}
	since := n.env.Now().Sub(down.Failed)
	again := n.person.byKubectl && down.Parent == os.Getppid() && since >= 0 && since < coolDownTime
	if !again && !down.Failed.After(n.began) {
		return nil
	}
	return &login.Problem{Kind: login.TimedOut, Text: down.Reason}
}

// noteUnreached notes that the provider did not answer.
func (n *renewal) noteUnreached(ctx context.Context, err error) {
	silent := login.IsKind(err, login.TimedOut) || login.IsKind(err, login.Unreachable) || login.IsKind(err, login.Unavailable)
	if silent && ctx.Err() == nil && !*n.person.asked {
		n.cache.SaveCooldown(n.key, tokencache.Cooldown{ //nolint:errcheck // the next one finds out by itself
			Failed: n.env.Now(), Reason: err.Error(), Asked: n.asked(), Parent: os.Getppid(), Unreached: true,
		})
	}
}

// coolDown notes that a person was asked in vain, or that this is over. That
// it cannot be noted is no failure.
func (n *renewal) coolDown(ctx context.Context, err error) {
	switch {
	case err == nil:
		n.cache.RemoveCooldown(n.key) //nolint:errcheck // it ends by itself
	case ctx.Err() == nil && *n.person.asked:
		n.cache.SaveCooldown(n.key, tokencache.Cooldown{ //nolint:errcheck // see above
			Failed: n.env.Now(), Reason: err.Error(), Asked: n.asked(), Parent: os.Getppid(),
		})
	}
}

// asked is a digest of the command line, without its secrets: a password can
// be guessed from a digest.
func (n *renewal) asked() string {
	sum := sha256.Sum256([]byte(n.person.command))
	return hex.EncodeToString(sum[:])
}
