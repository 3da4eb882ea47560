// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package logout

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// typeLogoutToken is the type in the header of a logout token (Back-Channel
// Logout 1.0, section 2.4), which no other token has.
const typeLogoutToken = "logout+jwt"

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken is what a client is told (section 2.4). It has no nonce, so that
// it cannot pass for an ID token.
type logoutToken struct {
	Issuer    oidc.Issuer         `json:"iss"`
	Subject   oidc.Subject        `json:"sub"`
	Audience  oidc.Audience       `json:"aud"`
	IssuedAt  oidc.NumericDate    `json:"iat"`
	Expiry    oidc.NumericDate    `json:"exp"`
	TokenID   string              `json:"jti"`
	Events    map[string]struct{} `json:"events"`
	SessionID string              `json:"sid"`
}

const (
	tokenLifetime = 2 * time.Minute
	maxWaiting    = 1000             // clients to tell, at once
	maxSending    = 8                // of those, requests that are under way
	tryTimeout    = 5 * time.Second  // of one request
	tellTimeout   = 30 * time.Second // of all tries for one client
)

// Signer signs claims as a token of the type.
type Signer interface {
	Sign(alg, typ string, claims any) (secret.String, error)
}

// BackChannel tells clients that a session has ended: in the background, as
// often as it takes within half a minute, and then no more. What a client was
// not told, it learns when it asks for new tokens.
//
// The address is the operator's, who registered it. So it may lie in a private
// network, where dashboards are; but no redirect leads further from there.
type BackChannel struct {
	Issuer     oidc.Issuer
	Clients    clientregistry.Clients
	Signer     Signer
	SigningAlg string          // unless the client chose its own
	HTTP       *http.Client    // nil: one for https with the system's authorities
	Pauses     []time.Duration // between the tries; nil: one second, then five
	Now        func() time.Time
	Log        *slog.Logger

	start    sync.Once
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	waiting  chan struct{} // one for each client to tell
	sending  chan struct{} // one for each request under way
	underWay sync.WaitGroup
}

func (b *BackChannel) begin() {
	b.start.Do(func() {
		b.ctx, b.cancel = context.WithCancel(context.Background())
		b.waiting, b.sending = make(chan struct{}, maxWaiting), make(chan struct{}, maxSending)
		if b.HTTP == nil {
			b.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
		}
		if b.Pauses == nil {
			b.Pauses = []time.Duration{time.Second, 5 * time.Second}
		}
		// A copy: no redirect is followed, whoever the HTTP client is.
		direct := *b.HTTP
		direct.Timeout = tryTimeout
		direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.HTTP = &direct
	})
}

// Tell begins to tell the clients, and does not wait for them.
func (b *BackChannel) Tell(ctx context.Context, ended session.Session, clients []oidc.ClientID) {
	b.begin()
	for _, client := range clients {
		select {
		case b.waiting <- struct{}{}:
		default:
			b.Log.LogAttrs(ctx, slog.LevelWarn, "client not told of a logout", slog.String("client", string(client)),
				slog.String("session", ended.ID), slog.String("error", "too many are to be told"))
			continue
		}
		b.underWay.Go(func() {
			defer func() { <-b.waiting }()
			b.tell(ended, client)
		})
	}
}

// Close waits for those who are being told until ctx ends, then gives up.
// Nobody may be told from then on.
func (b *BackChannel) Close(ctx context.Context) error {
	b.begin()
	defer b.cancel()
	told := make(chan struct{})
	go func() {
		b.underWay.Wait()
		close(told)
	}()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		b.cancel()
		<-told
		return ctx.Err()
	}
}

// tell tells one client, as often as it is worth it.
func (b *BackChannel) tell(ended session.Session, id oidc.ClientID) {
	ctx, cancel := context.WithTimeout(b.ctx, tellTimeout)
	defer cancel()
	client, err := b.Clients.Client(ctx, id)
	if err == nil && client.BackChannelLogoutURI == "" {
		return
	}
	for try := 0; err == nil; try++ {
		var again bool
		if again, err = b.send(ctx, ended, client); err == nil {
			b.Log.LogAttrs(ctx, slog.LevelInfo, "client told of a logout", slog.String("client", string(id)), slog.String("session", ended.ID))
			return
		}
		if !again || try == len(b.Pauses) {
			break
		}
		pause := time.NewTimer(b.Pauses[try])
		select {
		case <-pause.C:
			err = nil
		case <-ctx.Done():
			pause.Stop()
		}
	}
	b.Log.LogAttrs(ctx, slog.LevelWarn, "client not told of a logout", slog.String("client", string(id)),
		slog.String("session", ended.ID), slog.Any("error", err))
}

// send makes one request (section 2.5). again reports whether another may
// have more success.
func (b *BackChannel) send(ctx context.Context, ended session.Session, client clientregistry.Client) (again bool, err error) {
	select {
	case b.sending <- struct{}{}:
		defer func() { <-b.sending }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	now := b.Now()
	token, err := b.Signer.Sign(cmp.Or(client.SigningAlg, b.SigningAlg), typeLogoutToken, logoutToken{
		Issuer:    b.Issuer,
		Subject:   ended.Subject,
		Audience:  oidc.Audience{string(client.ID)},
		IssuedAt:  oidc.Date(now),
		Expiry:    oidc.Date(now.Add(tokenLifetime)),
		TokenID:   rand.Text(),
		Events:    map[string]struct{}{logoutEvent: {}},
		SessionID: ended.ID,
	})
	if err != nil {
		return false, fmt.Errorf("signing a logout token: %w", err)
	}
	body := url.Values{"logout_token": {token.Reveal()}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackChannelLogoutURI, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := b.HTTP.Do(r)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // what it says is not for us
	switch {
	case response.StatusCode/100 == 2: // 200, and for some frameworks 204 (section 2.8)
		return false, nil
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5:
		return true, fmt.Errorf("the client answered %s", response.Status)
	}
	return false, fmt.Errorf("the client answered %s", response.Status)
}
