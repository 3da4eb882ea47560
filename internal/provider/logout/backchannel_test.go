// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package logout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/logout"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// registry knows clients that are told at a server, by the path of their ID.
type registry struct{ server *httptest.Server }

func (r registry) Client(_ context.Context, id oidc.ClientID) (clientregistry.Client, error) {
	switch id {
	case "unknown":
		return clientregistry.Client{}, clientregistry.ErrNotFound
	case "quiet":
		return clientregistry.Client{ID: id}, nil
	case "gone":
		return clientregistry.Client{ID: id, BackChannelLogoutURI: "http://127.0.0.1:1/nobody-listens"}, nil
	}
	return clientregistry.Client{ID: id, BackChannelLogoutURI: r.server.URL + "/" + string(id)}, nil
}

type signer struct{}

func (signer) Sign(alg, typ string, _ any) (secret.String, error) {
	return secret.New(alg + "." + typ), nil
}

// visits are the requests that a server saw, by path.
type visits struct {
	mu   sync.Mutex // guards the field below
	seen []string
}

func (v *visits) add(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, path)
	n := 0
	for _, seen := range v.seen {
		if seen == path {
			n++
		}
	}
	return n
}

func (v *visits) of(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, seen := range v.seen {
		if seen == path {
			n++
		}
	}
	return n
}

func newBackChannel(t *testing.T, handler http.HandlerFunc, log *strings.Builder) *logout.BackChannel {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &logout.BackChannel{
		Issuer: "https://id.example.com", Clients: registry{server}, Signer: signer{}, SigningAlg: "RS256",
		Pauses: []time.Duration{time.Millisecond, time.Millisecond}, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// What a client answers decides whether it is told again.
func TestClientsAreToldAsOftenAsItIsWorth(t *testing.T) {
	t.Parallel()
	var seen visits
	var log strings.Builder
	b := newBackChannel(t, func(w http.ResponseWriter, r *http.Request) {
		n := seen.add(r.URL.Path)
		switch r.URL.Path {
		case "/ok", "/elsewhere":
		case "/no-content":
			w.WriteHeader(http.StatusNoContent)
		case "/refuses":
			w.WriteHeader(http.StatusBadRequest)
		case "/redirects":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/recovers":
			if n < 3 {
				w.WriteHeader(http.StatusBadGateway)
			}
		case "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/breaks":
			panic(http.ErrAbortHandler)
		}
	}, &log)
	want := map[oidc.ClientID]int{"ok": 1, "no-content": 1, "refuses": 1, "redirects": 1, "elsewhere": 0, "recovers": 3, "busy": 3, "breaks": 3, "quiet": 0, "gone": 0, "unknown": 0}
	var clients []oidc.ClientID
	for id := range want {
		if id != "elsewhere" {
			clients = append(clients, id)
		}
	}
	b.Tell(t.Context(), session.Session{ID: "sid", Subject: "alice"}, clients)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, times := range want {
		if got := seen.of("/" + string(id)); got != times {
			t.Errorf("%s: told %d times, want %d", id, got, times)
		}
		refused := strings.Contains(log.String(), `msg="client not told of a logout" client=`+string(id)+" ")
		if wantRefused := slices.Contains([]oidc.ClientID{"refuses", "redirects", "busy", "breaks", "gone", "unknown"}, id); refused != wantRefused {
			t.Errorf("%s: in the log as not told = %v, want %v:\n%s", id, refused, wantRefused, log.String())
		}
	}
}

// However many clients there are, only some are talked to at once.
func TestBackChannelIsBounded(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	var underWay, most, all atomic.Int64
	eight := make(chan struct{})
	var once sync.Once
	b := newBackChannel(t, func(http.ResponseWriter, *http.Request) {
		now := underWay.Add(1)
		defer underWay.Add(-1)
		all.Add(1)
		for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
		}
		if now == 8 {
			once.Do(func() { close(eight) })
		}
		<-eight // nobody is answered before eight wait
	}, &log)
	var clients []oidc.ClientID
	for n := range 40 {
		clients = append(clients, oidc.ClientID(fmt.Sprint("client-", n)))
	}
	b.Tell(t.Context(), session.Session{ID: "sid"}, clients)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all.Load() != 40 || most.Load() != 8 {
		t.Errorf("told %d clients, %d at once; want 40, 8 at once", all.Load(), most.Load())
	}
}

func TestBackChannelTakesNoEndlessQueue(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	held := make(chan struct{})
	b := newBackChannel(t, func(http.ResponseWriter, *http.Request) { <-held }, &log)
	clients := slices.Repeat([]oidc.ClientID{"ok"}, 1003)
	b.Tell(t.Context(), session.Session{ID: "sid"}, clients)
	if got := strings.Count(log.String(), "too many are to be told"); got != 3 {
		t.Errorf("refused %d of 1003, want 3", got)
	}
	// The server stops: it waits for a while, then lets go.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the wait", err)
	}
	close(held)
}

func TestBackChannelThatTellsNobodyCloses(t *testing.T) {
	t.Parallel()
	b := &logout.BackChannel{Log: slog.New(slog.DiscardHandler)}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
