// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
)

type providerKey struct{}

// TestScripts plays the sessions in testdata: each with a provider of its
// own, a home of its own, and "browser visit" as the browser.
//
//	provider FAULT [VALUE]     changes the provider's behaviour
//	exits CODE PROGRAM ARG…    runs a program; nothing secret is on standard error
//	asked ENDPOINT N           the provider was asked so often
//	hog-ports                  listens on two ports and sets $HOGGED
//	await FILE                 waits for a file that another process writes
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			p := oidctest.New(e.T().(testing.TB))
			e.Values[providerKey{}] = p
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("ISSUER", string(p.Issuer))
			e.Setenv("CA", p.CAFile())
			e.Setenv("BROWSER", "browser visit")
			e.Setenv("CACHE", filepath.Join(home, ".kube", "cache", "oidc-login"))
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"provider": changeProvider,
			"exits":    exits,
			"asked": func(ts *testscript.TestScript, _ bool, args []string) {
				p := ts.Value(providerKey{}).(*oidctest.Provider)
				if got := strconv.Itoa(p.Count(oidctest.Endpoint(args[0]))); got != args[1] {
					ts.Fatalf("the provider was asked for %s %s times, want %s", args[0], got, args[1])
				}
			},
			"hog-ports": hogPorts,
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(await(ts.MkAbs(args[0])))
			},
		},
	})
}

// hogPorts takes two addresses, as two other programs would.
func hogPorts(ts *testscript.TestScript, _ bool, _ []string) {
	var hogged []string
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Defer(func() { listener.Close() })
		hogged = append(hogged, listener.Addr().String())
	}
	ts.Setenv("HOGGED", strings.Join(hogged, ","))
}

// await waits until a file exists that another process is about to write.
func await(path string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // another process
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	return errors.New(path + " did not appear")
}

// exits runs a program and checks its exit code, and that its messages hold
// nothing that the provider gave out.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, want %s", args[1], code, args[0])
	}
	// A credential is the result of get-token, and of nothing else.
	told := ts.ReadFile("stderr")
	if args[1] == "kubectl-oidc_login" && (len(args) == 2 || args[2] != "get-token") {
		told += ts.ReadFile("stdout")
	}
	for _, issued := range ts.Value(providerKey{}).(*oidctest.Provider).Issued() {
		if strings.Contains(told, issued) {
			ts.Fatalf("the output holds a secret")
		}
	}
	if code != 0 && ts.ReadFile("stdout") != "" {
		ts.Fatalf("standard output of a failure is not empty")
	}
}

// changeProvider turns words of a script into behaviour.
func changeProvider(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(providerKey{}).(*oidctest.Provider)
	value := args[len(args)-1]
	endpoint := oidctest.Endpoint(value)
	switch args[0] {
	case "closes":
		p.Close()
		return
	case "forgets":
		p.Forget()
		return
	case "revokes":
		p.RevokeAll()
		return
	case "moves":
		p.Move()
		return
	case "rotates-key":
		p.RotateKey(jose.SignatureAlgorithm(value))
		return
	}
	p.Change(func(b *oidctest.Behaviour) {
		switch args[0] {
		case "hangs":
			b.Hang = map[oidctest.Endpoint]bool{endpoint: true}
		case "answers-html":
			b.HTML = map[oidctest.Endpoint]bool{endpoint: true}
		case "is-gone":
			b.Gone = map[oidctest.Endpoint]bool{endpoint: true}
		case "is-unavailable":
			times, err := strconv.Atoi(args[2])
			ts.Check(err)
			b.Unavailable = map[oidctest.Endpoint]int{oidctest.Endpoint(args[1]): times}
		case "recovers":
			b.Hang, b.HTML, b.Gone, b.Unavailable = nil, nil, nil, nil
			b.Refusal, b.TokenRefusal, b.Nonce, b.Audience = "", "", "", nil
		case "subject":
			b.Subject = oidc.Subject(value)
		case "lifetime":
			lifetime, err := time.ParseDuration(value)
			ts.Check(err)
			b.Lifetime = lifetime
		case "skew":
			skew, err := time.ParseDuration(value)
			ts.Check(err)
			b.Skew = skew
		case "slash":
			b.SlashIssuer = true
		case "nonce":
			b.Nonce = value
		case "audience":
			b.Audience = oidc.Audience{value}
		case "azp":
			b.AuthorizedParty = oidc.ClientID(value)
		case "token-issuer":
			b.TokenIssuer = oidc.Issuer(value)
		case "response-issuer":
			b.ResponseIssuer = value
		case "refuses":
			b.Refusal = oidc.ErrorCode(value)
		case "refuses-tokens":
			b.TokenRefusal = oidc.ErrorCode(value)
		case "no-id-token":
			b.NoIDToken = true
		case "no-id-token-on-refresh":
			b.NoIDOnRefresh = true
		case "no-expiry":
			b.NoExpiry = true
		case "fractional-expiry":
			b.FractionalExpiry = true
		case "wrong-at-hash":
			b.WrongTokenHash = true
		case "foreign-key":
			b.ForeignKey = true
		case "secret":
			b.Secret = value
		case "post-only":
			b.PostOnly = true
		case "keeps-refresh-token":
			b.KeepRefresh = true
		case "ends-logins":
			b.Departure = true
		case "refuses-revocation":
			b.RevocationRefusal = oidc.ErrorCode(value)
		case "groups":
			b.ExtraClaims = map[string]any{"groups": strings.Split(value, ",")}
		case "no-refresh-tokens":
			b.RefreshTokens = false
		default:
			if !changeGrants(b, args) {
				ts.Fatalf("the provider knows no %q", args[0])
			}
		}
	})
}
