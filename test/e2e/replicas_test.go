// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/postgres"
)

// balancer hands each connection to the next replica that takes it.
type balancer struct {
	listener net.Listener
	open     sync.WaitGroup
	replicas []string
	turn     atomic.Int64
	taken    []atomic.Int64 // how many connections each replica took
}

func balance(t *testing.T, replicas []string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, replicas: replicas, taken: make([]atomic.Int64, len(replicas))}
	b.open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			b.open.Go(func() { b.carry(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.open.Wait()
	})
	return b
}

func (b *balancer) carry(client net.Conn) {
	defer client.Close()
	for range b.replicas {
		n := int(b.turn.Add(1)) % len(b.replicas)
		server, err := net.Dial("tcp", b.replicas[n])
		if err != nil {
			continue // that one is down
		}
		defer server.Close()
		b.taken[n].Add(1)
		b.open.Go(func() {
			_, _ = io.Copy(client, server)
			client.Close()
		})
		_, _ = io.Copy(server, client)
		return
	}
}

// replicas starts providers of one issuer on a PostgreSQL server, behind a
// balancer, with a configuration. They differ in nothing but the port.
func replicas(t *testing.T, server *postgres.Server, count int, config string) ([]*provider, *balancer) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data") // the certificate authority of --dev
	shared := &said{secrets: map[string]string{}}
	all := make([]*provider, count)
	addresses := make([]string, count)
	for n := range all {
		port, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[n] = port.Addr().String()
		port.Close()
		all[n] = &provider{t: t, dir: dir, said: shared}
	}
	front := balance(t, addresses)
	onPostgreSQL(t, server, all[0], 4, fmt.Sprintf(`issuer: https://localhost:%s
password_hash: {memory_kib: 8, time: 1}
clients:
- {id: kubernetes, public: true, redirect_uris: ["http://localhost:8000"], signing_alg: ES256}
- {id: device, public: true, grants: [device_code, refresh_token]}
%s`, front.listener.Addr().String()[len("127.0.0.1:"):], config))
	t.Cleanup(all[0].searchForSecrets)
	for n, p := range all {
		front.start(n, p)
		t.Cleanup(func() { p.stop(os.Interrupt) })
	}
	return all, front
}

// start starts a replica on its port. What it prints is the port of the
// issuer, which is the balancer's.
func (b *balancer) start(n int, p *provider) {
	p.listen = b.replicas[n]
	p.start()
}

// everywhere makes each request of an agent a connection of its own, so that
// the steps of a login reach different replicas.
func (a *agent) everywhere() *agent {
	a.web.Transport.(*http.Transport).DisableKeepAlives = true
	return a
}

// agents are one client and the browser of one end user; each sends what it
// sends to one replica alone.
func (b *balancer) agents(t *testing.T, p *provider, client string) []*agent {
	t.Helper()
	agents := make([]*agent, len(b.replicas))
	for n, address := range b.replicas {
		agents[n] = p.agent(t, client)
		agents[n].web.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		agents[n].web.Jar = agents[0].web.Jar
	}
	return agents
}

// One login, each step of it at another replica.
func TestEachStepAtAnotherReplica(t *testing.T) {
	all, front := replicas(t, postgres.Start(t), 3, "")
	password := all[0].alice()
	at := front.agents(t, all[0], "kubernetes")
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if refused, ok := errors.AsType[*oidc.Error](err); !ok || refused.Code != oidc.InvalidGrant {
			t.Errorf("%s: %v, want invalid_grant", what, err)
		}
	}

	verifier := oidc.NewCodeVerifier()
	sealed, err := at[0].loginPage(ctx, verifier)
	must(err)
	redemption, err := at[1].submit(ctx, sealed, "alice", password, verifier)
	must(err)
	tokens, err := at[2].tokens(ctx, redemption)
	must(err)
	renewed, err := at[0].refresh(ctx, tokens.RefreshToken)
	must(err)
	claims, err := at[1].userinfo(ctx, renewed.AccessToken)
	must(err)
	if !strings.Contains(claims, `"sub":"alice`) {
		t.Errorf("userinfo answered %s", claims)
	}

	// A device asks the first, its person answers at the other two.
	device := front.agents(t, all[0], "device")
	_, answer, err := device[0].send(ctx, http.MethodPost, "/device_authorization", url.Values{"client_id": {"device"}, "scope": {"openid offline_access"}})
	must(err)
	var codes struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	must(json.Unmarshal([]byte(answer), &codes))
	_, page, err := at[1].send(ctx, http.MethodGet, "/device?user_code="+url.QueryEscape(codes.User), nil)
	must(err)
	sealed, err = sealedIn(page)
	must(err)
	_, page, err = at[2].send(ctx, http.MethodPost, "/device", url.Values{"request": {sealed}, "answer": {"allow"}})
	must(err)
	if !strings.Contains(page, "The device is logged in") {
		t.Errorf("the device page says:\n%s", page)
	}
	poll := url.Values{"grant_type": {string(oidc.GrantDeviceCode)}, "client_id": {"device"}, "device_code": {codes.Device}}
	polled, err := device[0].tokens(ctx, poll)
	must(err)
	_, err = device[1].refresh(ctx, polled.RefreshToken)
	must(err)
	_, err = device[2].tokens(ctx, poll)
	refused("a device code, redeemed a second time", err)

	_, err = at[1].tokens(ctx, redemption)
	refused("a code, redeemed a second time", err)
	_, err = at[0].refresh(ctx, renewed.RefreshToken)
	refused("a refresh token whose code was redeemed a second time", err)
}

// A rotation that is asked for once makes one key, whichever replica looks
// first, and all replicas come to sign with it.
func TestRotationHappensOnce(t *testing.T) {
	all, front := replicas(t, postgres.Start(t), 3, "")
	password := all[0].alice()
	at := front.agents(t, all[0], "kubernetes")
	tokens, err := at[0].logIn(t.Context(), "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	// keys are the IDs of the key set that all replicas have in common.
	keys := func() (ids []string, err error) {
		for n, a := range at {
			_, body, err := a.send(t.Context(), http.MethodGet, "/keys", nil)
			if err != nil {
				return nil, err
			}
			var set struct {
				Keys []struct {
					ID string `json:"kid"`
				} `json:"keys"`
			}
			if err := json.Unmarshal([]byte(body), &set); err != nil {
				return nil, err
			}
			var these []string
			for _, key := range set.Keys {
				these = append(these, key.ID)
			}
			slices.Sort(these)
			if n > 0 && !slices.Equal(these, ids) {
				return nil, fmt.Errorf("replica %d has the keys %q, those before it %q", n, these, ids)
			}
			ids = these
		}
		return ids, nil
	}
	before, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	all[0].tegata("", "key", "rotate", "--alg", "ES256", "--now")
	signing := make([]string, len(at))
	eventually(t, 30*time.Second, func() error {
		for n, a := range at {
			if tokens, err = a.refresh(t.Context(), tokens.RefreshToken); err != nil {
				t.Fatal(err)
			}
			all[0].said.neverSay("ID token", tokens.IDToken.Reveal())
			if signing[n] = keyOf(t, tokens.IDToken.Reveal()); slices.Contains(before, signing[n]) {
				return fmt.Errorf("replica %d signs with the old key", n)
			}
		}
		return nil
	})
	after, err := keys()
	if err != nil {
		t.Error(err)
	}
	made := slices.DeleteFunc(after, func(id string) bool { return slices.Contains(before, id) })
	if len(made) != 1 || slices.Compact(slices.Clone(signing))[0] != made[0] || len(slices.Compact(signing)) != 1 {
		t.Errorf("%q are new, %q sign; want one key", made, signing)
	}
}

// 64 users at 64 at a time, each step at another replica, on four connections
// for each: none fails.
func TestAnyRequestMayReachAnyReplica(t *testing.T) {
	const users = 64
	password := secret.New(rand.Text())
	hash := exec.Command(filepath.Join(binDir, "tegata"), "user", "hash-password", "--password-stdin")
	hash.Stdin = strings.NewReader(password.Reveal())
	hashed, err := hash.Output()
	if err != nil {
		t.Fatal(err)
	}
	config := "users:\n"
	for n := range users {
		config += fmt.Sprintf("- {username: user%d, password_hash: %q}\n", n, strings.TrimSpace(string(hashed)))
	}
	both, front := replicas(t, postgres.Start(t), 2, config)
	both[0].said.neverSay("password", password.Reveal())
	var all sync.WaitGroup
	for n := range users {
		a := both[0].agent(t, "kubernetes").everywhere()
		all.Go(func() {
			tokens, err := a.logIn(t.Context(), fmt.Sprint("user", n), password)
			for range 3 {
				if err != nil {
					t.Error(err)
					return
				}
				tokens, err = a.refresh(t.Context(), tokens.RefreshToken)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for n := range both {
		if taken := front.taken[n].Load(); taken < 100 {
			t.Errorf("replica %d took %d connections, want about half of 400", n, taken)
		}
	}
	// What is ended at one is ended at the other.
	a := both[0].agent(t, "kubernetes").everywhere()
	added := both[0].alice()
	tokens, err := a.logIn(t.Context(), "alice", added)
	if err != nil {
		t.Fatal(err)
	}
	both[0].tegata("", "user", "disable", "alice")
	for range 2 {
		if _, err := a.refresh(t.Context(), tokens.RefreshToken); err == nil {
			t.Error("a disabled user got new tokens")
		}
	}
}

// kill -9 of a replica, then of PostgreSQL, then both, while people log in:
// nothing that was answered is lost, and all of it heals by itself.
func TestReplicasAndPostgreSQLMayDie(t *testing.T) {
	server := postgres.Start(t)
	both, front := replicas(t, server, 2, "")
	password := both[0].alice()
	l := both[0].load(t, 8, password)
	for _, a := range l.agents {
		a.everywhere()
	}
	l.run(t)
	at := front.agents(t, both[0], "kubernetes")
	for _, a := range at {
		a.everywhere() // what died answers on no connection that was open before
	}
	more := func() {
		t.Helper()
		l.await(t, 60+mathrand.IntN(40))
	}
	restart := func() {
		t.Helper()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for _, strike := range []func(){
		func() { both[0].stop(syscall.SIGKILL); more(); front.start(0, both[0]) },
		func() { server.Kill(); restart() },
		func() { both[1].stop(syscall.SIGKILL); more(); front.start(1, both[1]) },
		func() { server.Stop(); restart() },
		func() {
			both[0].stop(syscall.SIGKILL)
			server.Kill()
			restart()
			more()
			front.start(0, both[0])
		},
	} {
		more()
		strike()
		eventually(t, 30*time.Second, func() error { // each of them, and without a restart
			for n, a := range at {
				response, _, err := a.send(t.Context(), http.MethodGet, "/readyz", nil)
				if err == nil && response.StatusCode != http.StatusOK {
					err = errors.New("/readyz answered " + response.Status)
				}
				if err != nil {
					return fmt.Errorf("replica %d: %w", n, err)
				}
			}
			return nil
		})
	}
	more()
	l.check(t)
}
