// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is what the browser brought back to a client.
type answer struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Body   string `json:"body"` // of a form that was posted
}

// seen is what a client says it saw, after its library checked it.
type seen struct {
	Claims                 claims         `json:"claims"` // of the ID token
	Userinfo               claims         `json:"userinfo"`
	WrongAccessToken       string         `json:"wrongAccessToken"` // the code of the error
	AccessToken            string         `json:"accessToken"`      // the subject of one that the library checked as a resource server (RFC 9068)
	CodeAgain              string         `json:"codeAgain"`
	Pushed                 map[string]any `json:"pushed"`
	Refreshed              map[string]any `json:"refreshed"`
	Introspected           introspected   `json:"introspected"`
	Revoked                string         `json:"revoked"`
	IntrospectedAfterwards introspected   `json:"introspectedAfterwards"`
	Machine                struct {
		Type         string       `json:"type"`
		IDToken      bool         `json:"idToken"`
		Introspected introspected `json:"introspected"`
	} `json:"machine"`
	Device string `json:"device"` // the address of who confirmed it
}

type claims struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Email   string   `json:"email"`
	Groups  []string `json:"groups"`
}

type introspected struct {
	Active   bool   `json:"active"`
	ClientID string `json:"client_id"`
	Subject  string `json:"sub"`
}

// Other people's clients go through all they offer with our provider. Their
// libraries check each answer and complain about what they do not expect.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	p := newTegata(t)
	for _, library := range []string{"openid-client", "oauth4webapi"} {
		for k, metadata := range map[kind]map[string]any{
			secretBasic: {"token_endpoint_auth_method": "client_secret_basic"},
			secretPost:  {"token_endpoint_auth_method": "client_secret_post"},
			keyEC:       {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256"},
			es256:       {"token_endpoint_auth_method": "none", "id_token_signed_response_alg": "ES256"},
		} {
			t.Run(library+" "+string(k), func(t *testing.T) {
				t.Parallel()
				confidential := k != es256
				got := clientOf(t, p, library, k, metadata, confidential)

				subject := got.Claims.Subject
				if got.Claims.Issuer != p.issuer || subject == "" || got.Userinfo.Subject != subject {
					t.Errorf("the ID token says %+v, userinfo %+v", got.Claims, got.Userinfo)
				}
				for _, c := range []claims{got.Claims, got.Userinfo} {
					if c.Email != "alice@example.com" || !slices.Equal(c.Groups, []string{"platform-engineer"}) {
						t.Errorf("got %+v, want alice's", c)
					}
				}
				if got.WrongAccessToken != "invalid_token" || got.CodeAgain != "invalid_grant" || got.Revoked != "invalid_grant" {
					t.Errorf("got %q for a wrong access token, %q for a code the second time, %q for a revoked refresh token",
						got.WrongAccessToken, got.CodeAgain, got.Revoked)
				}
				if library == "oauth4webapi" && got.AccessToken != subject {
					t.Errorf("the access token is of %q, want %q", got.AccessToken, subject)
				}
				if got.Pushed["method"] != http.MethodPost || got.Pushed["subject"] != subject {
					t.Errorf("the pushed request brought %v", got.Pushed)
				}
				if got.Refreshed["subject"] != subject || got.Refreshed["another"] != true {
					t.Errorf("the refresh token brought %v", got.Refreshed)
				}
				if want := (introspected{true, string(k), subject}); confidential && got.Introspected != want {
					t.Errorf("introspection says %+v, want %+v", got.Introspected, want)
				}
				if got.IntrospectedAfterwards != (introspected{}) {
					t.Errorf("introspection of what was revoked says %+v", got.IntrospectedAfterwards)
				}
				if m := got.Machine; !strings.EqualFold(m.Type, "bearer") || m.IDToken || !m.Introspected.Active || m.Introspected.ClientID != string(machine) {
					t.Errorf("the machine got %+v", m)
				}
				if got.Device != "alice@example.com" {
					t.Errorf("the device belongs to %q", got.Device)
				}
			})
		}
	}
}

// clientOf runs a client, and is the person at its browser.
func clientOf(t *testing.T, p *provider, library string, k kind, metadata map[string]any, confidential bool) seen {
	t.Helper()
	dir := t.TempDir()
	program := write(t, filepath.Join(dir, library+".mjs"), read(t, filepath.Join("node", library+".mjs")))
	if err := os.Symlink(nodeModules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}

	callbacks := make(chan answer, 1)
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		callbacks <- answer{r.Method, "http://" + r.Host + r.URL.String(), string(body)}
		fmt.Fprint(w, "<title>Back at the client</title>")
	}))
	defer redirect.Close()

	registered := func(k kind, metadata map[string]any) map[string]any {
		metadata = with(metadata, "client_id", string(k))
		if secret := flagOf(p.clients[k], "--oidc-client-secret="); secret != "" {
			metadata["client_secret"] = secret
		}
		return metadata
	}
	settings, err := json.Marshal(map[string]any{
		"issuer": p.issuer, "confidential": confidential,
		"redirectURI": strings.Replace(redirect.URL, "127.0.0.1", "localhost", 1),
		"client":      registered(k, metadata), "keyFile": flagOf(p.clients[k], "--oidc-client-assertion-key="),
		"machine": registered(machine, map[string]any{"token_endpoint_auth_method": "client_secret_basic"}),
		"device":  registered(device, map[string]any{"token_endpoint_auth_method": "none"}),
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	command := exec.CommandContext(ctx, "node", program, string(settings))
	command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+p.caFile)
	var problems bytes.Buffer
	command.Stderr = &problems
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = command.Wait() }) // what it said counts, not how it ended
	defer end()
	defer cancel()

	d := newDesk(t, p)
	for said := bufio.NewScanner(stdout); said.Scan(); {
		var line struct {
			Open string `json:"open"`
			Saw  *seen  `json:"saw"`
		}
		if err := json.Unmarshal(said.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", said.Text(), err)
		}
		if line.Saw != nil {
			if last := d.visit(len(d.visited())); !strings.Contains(last, "You are logged out") {
				t.Errorf("after the logout the browser showed %q", last)
			}
			return *line.Saw
		}
		d.open(line.Open)
		var back answer
		select {
		case back = <-callbacks:
		default: // nothing comes back from a device's page, or a logout
		}
		if err := json.NewEncoder(stdin).Encode(back); err != nil {
			t.Fatal(err)
		}
	}
	end()
	t.Fatalf("%s ended:\n%s\nthe browser showed %q", library, problems.String(), d.visited())
	return seen{}
}

// open has the browser open an address, and waits for the end of the visit.
func (d *desk) open(address string) {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	browser := d.program()
	browser.Path, browser.Args = self, []string{self, address}
	if out, err := browser.CombinedOutput(); err != nil {
		d.t.Fatalf("the browser: %v: %s", err, out)
	}
}

func flagOf(flags []string, prefix string) string {
	for _, flag := range flags {
		if value, ok := strings.CutPrefix(flag, prefix); ok {
			return value
		}
	}
	return ""
}
