// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/postgres"
)

// storages are where a provider can keep everything.
func storages() []string { return []string{"SQLite", "PostgreSQL"} }

// serveOn starts a provider on a storage, with a configuration as for serve.
// The server is nil on SQLite.
func serveOn(t testing.TB, storage, config string) (*provider, *postgres.Server) {
	t.Helper()
	if storage == "SQLite" {
		return serve(t, config), nil
	}
	server := postgres.Start(t)
	p := &provider{t: t, dir: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0", said: &said{secrets: map[string]string{}}}
	onPostgreSQL(t, server, p, 16, config)
	t.Cleanup(func() {
		p.stop(os.Interrupt)
		p.searchForSecrets()
	})
	p.start()
	return p, server
}

// onPostgreSQL makes a database for the provider, and the configuration that
// every command finds in the environment for the rest of the test.
func onPostgreSQL(t testing.TB, server *postgres.Server, p *provider, connections int, config string) {
	t.Helper()
	const password = "the password of the database"
	server.Guard(t, "tegata", password)
	server.Exec(t, "postgres", `CREATE DATABASE tegata OWNER tegata`)
	p.said.neverSay("password of PostgreSQL", password)
	key, file := filepath.Join(p.dir, "key-encryption-key"), filepath.Join(t.TempDir(), "tegata.yaml")
	config += fmt.Sprintf(`
storage: {postgres: {url: "postgres://tegata@127.0.0.1:%d/tegata", password_environment: TEST_DB_PASSWORD, max_connections: %d}}
key_encryption_key: {file: %q}
`, server.Port, connections, key)
	err := errors.Join(
		os.MkdirAll(p.dir, 0o700),
		os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"), 0o600),
		os.WriteFile(file, []byte(config), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEGATA_CONFIG", file)
	t.Setenv("TEST_DB_PASSWORD", password)
}

// answered is a login that was answered.
type answered struct {
	redemption url.Values    // that its code was redeemed with
	newest     secret.String // the refresh token that was handed out last
}

// load is clients that log in and refresh, each on its own and without a
// pause, and remember what they were answered. What fails because somebody
// died is tried again; that a token is refused is a failure of the test.
type load struct {
	agents   []*agent
	password secret.String
	held     [][]*answered // by agent
	answers  atomic.Int64
	stop     context.CancelFunc
	inFlight sync.WaitGroup
}

// load makes the clients, which begin with run.
func (p *provider) load(t *testing.T, size int, password secret.String) *load {
	t.Helper()
	l := &load{agents: make([]*agent, size), password: password, held: make([][]*answered, size)}
	for i := range l.agents {
		l.agents[i] = p.agent(t, "kubernetes")
		l.agents[i].p = &provider{issuer: p.issuer} // what start changes is not looked at here
	}
	return l
}

func (l *load) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	t.Cleanup(l.end)
	for i := range l.agents {
		l.inFlight.Go(func() {
			for ctx.Err() == nil {
				err := l.act(ctx, i)
				if err == nil {
					l.answers.Add(1)
					continue
				}
				if refused, ok := errors.AsType[*oidc.Error](err); ok && refused.Code == oidc.InvalidGrant {
					t.Errorf("worker %d: %v", i, err)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
}

// act is one login, or one refresh of a login that is held.
func (l *load) act(ctx context.Context, worker int) error {
	a, held := l.agents[worker], l.held[worker]
	if len(held) > 0 && rand.IntN(6) > 0 {
		this := held[rand.IntN(len(held))]
		tokens, err := a.refresh(ctx, this.newest)
		if err == nil {
			this.newest = tokens.RefreshToken
		}
		return err
	}
	redemption, err := a.code(ctx, "alice", l.password)
	if err != nil {
		return err
	}
	tokens, err := a.tokens(ctx, redemption)
	if err == nil {
		l.held[worker] = append(held, &answered{redemption, tokens.RefreshToken})
	}
	return err
}

// await waits for that many more answers.
func (l *load) await(t *testing.T, more int) {
	t.Helper()
	want := l.answers.Load() + int64(more)
	eventually(t, time.Minute, func() error {
		if n := l.answers.Load(); n < want {
			return fmt.Errorf("%d of %d answers", n, want)
		}
		return nil
	})
}

func (l *load) end() {
	l.stop()
	l.inFlight.Wait()
}

// check ends the load and replays what was answered. The newest refresh token
// of each login works. No code works a second time; who tries ends the login.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	logins := 0
	refused := func(err error) bool {
		refused, ok := errors.AsType[*oidc.Error](err)
		return ok && refused.Code == oidc.InvalidGrant
	}
	for i, a := range l.agents {
		for _, this := range l.held[i] {
			logins++
			tokens, err := a.refresh(t.Context(), this.newest)
			if err != nil {
				t.Errorf("worker %d: a refresh token that was answered is lost: %v", i, err)
				continue
			}
			if _, err := a.tokens(t.Context(), this.redemption); !refused(err) {
				t.Errorf("worker %d: a code, redeemed a second time: %v, want invalid_grant", i, err)
			}
			if _, err := a.refresh(t.Context(), tokens.RefreshToken); !refused(err) {
				t.Errorf("worker %d: a refresh token whose code was redeemed a second time: %v, want invalid_grant", i, err)
			}
		}
	}
	if logins == 0 {
		t.Error("nobody logged in, so nothing was shown")
	}
	t.Logf("%d answers, %d logins were looked at", l.answers.Load(), logins)
}
