// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/test/npm"
)

// oidcProvider is the provider that is not ours.
type oidcProvider struct {
	*provider
	dir       string
	logFile   string
	authority *certifier
	settings  settings
}

// settings is the configuration of node/server.mjs.
type settings struct {
	Listen          int               `json:"listen"` // a port; 0: any
	TLS             map[string]string `json:"tls"`
	Log             string            `json:"log"`
	Keys            []jose.JSONWebKey `json:"keys"`
	Clients         []map[string]any  `json:"clients"`
	IDTokenLifetime int               `json:"idTokenLifetime"` // in seconds
	Conform         bool              `json:"conform"`         // userinfo alone says who it is

	Accounts map[string]map[string]any `json:"accounts,omitempty"` // the claims; empty: everybody has one
}

// logLine is a line of its log: a request, or something that it issued.
type logLine struct {
	Method   string
	Path     string
	Status   int
	Header   string // X-Peer
	Grant    string
	PKCE     string
	Problem  string
	Issued   string
	Value    string
	Reloaded bool
}

func (l logLine) asked() string { return l.Method + " " + l.Path + " " + http.StatusText(l.Status) }

// newOIDCProvider starts oidc-provider with a client of each kind.
func newOIDCProvider(t *testing.T) *oidcProvider {
	t.Helper()
	modules := nodeModules(t)
	dir := t.TempDir()
	// Where the program lies decides where it looks for its modules.
	program := write(t, filepath.Join(dir, "server.mjs"), read(t, "node/server.mjs"))
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}

	o := &oidcProvider{dir: dir, logFile: filepath.Join(dir, "log"), authority: newAuthority(t)}
	o.provider = &provider{
		t: t, name: "oidc-provider", caFile: write(t, filepath.Join(dir, "ca.crt"), o.authority.certificate),
		clients: map[kind][]string{},
		scopes:  []string{"--oidc-extra-scope=email,groups,offline_access", "--oidc-auth-request-extra-params=prompt=consent"},
		granted: o.grantedSoFar, secrets: o.issued, endLogins: o.revokeAll, replace: o.restart, register: o.register,
	}
	server := o.authority.issue(t, x509.ExtKeyUsageServerAuth)
	o.settings = settings{
		TLS:  map[string]string{"key": server.key, "certificate": server.certificate, "clientAuthority": o.authority.certificate},
		Log:  o.logFile,
		Keys: newSigningKeys(t), IDTokenLifetime: 3600,
	}
	o.addClients(newMaterial(t, dir, o.authority))
	write(t, o.logFile, "")
	o.configure()
	o.process, o.issuer = start(t, exec.Command("node", program, o.configuration()), filepath.Join(dir, "output"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s%s", read(t, o.process.Log), read(t, o.logFile))
		}
	})
	return o
}

func (o *oidcProvider) configuration() string { return filepath.Join(o.dir, "configuration.json") }

func (o *oidcProvider) configure() {
	o.t.Helper()
	text, err := json.Marshal(o.settings)
	if err != nil {
		o.t.Fatal(err)
	}
	write(o.t, o.configuration(), string(text))
}

// addClients registers a client of each kind.
func (o *oidcProvider) addClients(m material) {
	add := func(k kind, method string, more map[string]any) {
		client := map[string]any{
			"client_id": string(k), "token_endpoint_auth_method": method, "application_type": "native",
			"grant_types": []string{"authorization_code", "refresh_token"}, "redirect_uris": []string{"http://localhost:8000"},
		}
		maps.Copy(client, more)
		o.settings.Clients = append(o.settings.Clients, client)
		o.clients[k] = m.flags(k)
	}
	withSecret := map[string]any{"client_secret": m.secret}
	withKey := func(key jose.JSONWebKey) map[string]any {
		key.KeyID, key.Use = "its-key", "sig"
		return map[string]any{"jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}}}
	}
	add(public, "none", nil)
	add(secretBasic, "client_secret_basic", withSecret)
	add(secretPost, "client_secret_post", withSecret)
	add(es256, "none", map[string]any{"id_token_signed_response_alg": "ES256"})
	add(ps256, "none", map[string]any{"id_token_signed_response_alg": "PS256"})
	add(keyRSA, "private_key_jwt", withKey(jose.JSONWebKey{Key: m.keys[keyRSA].Public()}))
	add(keyEC, "private_key_jwt", withKey(jose.JSONWebKey{Key: m.keys[keyEC].Public()}))
	add(certificate, "tls_client_auth", map[string]any{"tls_client_auth_san_dns": "localhost"})
	// RFC 8705, section 2.2: the certificate itself is registered.
	add(selfSigned, "self_signed_tls_client_auth", withKey(jose.JSONWebKey{Key: m.own.PublicKey, Certificates: []*x509.Certificate{m.own}}))
	withoutBrowser := map[string]any{"redirect_uris": []string{}, "response_types": []string{}}
	add(device, "none", with(withoutBrowser, "grant_types", []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}))
	add(machine, "client_secret_basic", with(with(withoutBrowser, "grant_types", []string{"client_credentials"}), "client_secret", m.secret))
}

func with(values map[string]any, name string, value any) map[string]any {
	more := maps.Clone(values)
	more[name] = value
	return more
}

// register adds a client of the web; there are other signing keys afterwards.
func (o *oidcProvider) register(id, secret, redirectURI, afterLogout string) {
	o.t.Helper()
	o.settings.Clients = append(o.settings.Clients, map[string]any{
		"client_id": id, "client_secret": secret, "grant_types": []string{"authorization_code", "refresh_token"},
		"redirect_uris": []string{redirectURI}, "post_logout_redirect_uris": []string{afterLogout},
	})
	o.newKeys()
}

// newKeys gives it other signing keys; what it granted stays.
func (o *oidcProvider) newKeys() {
	o.t.Helper()
	o.settings.Keys = newSigningKeys(o.t)
	o.configure()
	o.process.Signal(syscall.SIGHUP)
	eventually(o.t, 10*time.Second, func() error {
		for _, line := range o.log() {
			if line.Reloaded {
				return nil
			}
		}
		return os.ErrDeadlineExceeded
	})
}

// restart ends it, and starts another one with other keys at the same
// address. That one has never heard of anybody.
func (o *oidcProvider) restart() {
	o.t.Helper()
	o.process.Kill()
	o.settings.Keys = newSigningKeys(o.t)
	o.settings.Listen = port(o.t, o.issuer)
	o.configure()
	o.process, o.issuer = start(o.t, exec.Command("node", filepath.Join(o.dir, "server.mjs"), o.configuration()), o.process.Log)
}

func port(t testing.TB, issuer string) int {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (o *oidcProvider) log() []logLine {
	o.t.Helper()
	var log []logLine
	for _, text := range lines(o.t, o.logFile) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			o.t.Fatal(err)
		}
		log = append(log, line)
	}
	return log
}

// requests are those of the plugin, as "METHOD PATH STATUS"; the pages for the
// person are left out.
func (o *oidcProvider) requests() (requests []string) {
	o.t.Helper()
	for _, line := range o.log() {
		switch line.Path {
		case "/.well-known/openid-configuration", "/jwks", "/token", "/token/revocation", "/device/auth":
			requests = append(requests, line.asked())
		}
	}
	return requests
}

// forget empties its log.
func (o *oidcProvider) forget() { write(o.t, o.logFile, "") }

func (o *oidcProvider) grantedSoFar(grant string) (count int) {
	o.t.Helper()
	for _, line := range o.log() {
		if line.Path == "/token" && line.Grant == grant && line.Status == http.StatusOK {
			count++
		}
	}
	return count
}

func (o *oidcProvider) issued() (values []string) {
	o.t.Helper()
	for _, line := range o.log() {
		if line.Issued != "" {
			values = append(values, line.Value)
		}
	}
	return values
}

// revokeAll revokes each refresh token of the public client, as somebody else
// who has it.
func (o *oidcProvider) revokeAll() {
	o.t.Helper()
	for _, line := range o.log() {
		if line.Issued != "refresh_token" {
			continue
		}
		form := url.Values{"token": {line.Value}, "client_id": {string(public)}}
		response, err := userAgent(o.t, o.caFile).PostForm(o.issuer+"/token/revocation", form)
		if err != nil {
			o.t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			o.t.Fatalf("revoking: %s", response.Status)
		}
	}
}

// newSigningKeys are one of each kind that an API server takes.
func newSigningKeys(t testing.TB) []jose.JSONWebKey {
	t.Helper()
	return []jose.JSONWebKey{
		{Key: newRSA(t), KeyID: rand.Text(), Use: "sig"},
		{Key: newEC(t), KeyID: rand.Text(), Use: "sig", Algorithm: string(jose.ES256)},
	}
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// nodeModules is a folder with the modules of node/package-lock.json.
func nodeModules(t testing.TB) string {
	t.Helper()
	modules, err := installed()
	if err != nil {
		t.Fatalf("installing the modules: %v", err)
	}
	return modules
}

var installed = sync.OnceValues(func() (string, error) { return npm.Install("node") })
