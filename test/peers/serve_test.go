// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tegata is a running "tegata serve".
type tegata struct {
	*provider
	dir      string // the data directory
	password string // alice's

	configuration string
}

// newTegata starts our own provider, with what oidc-provider has too.
func newTegata(t *testing.T) *provider {
	t.Helper()
	own := prepareTegata(t)
	own.serve("127.0.0.1:0")
	own.addAlice()
	return own.provider
}

// prepareTegata writes the configuration of one.
func prepareTegata(t *testing.T) *tegata {
	t.Helper()
	own := &tegata{dir: t.TempDir(), password: rand.Text(), configuration: filepath.Join(t.TempDir(), "tegata.yaml")}
	own.provider = &provider{
		t: t, name: "tegata", password: own.password, clients: map[kind][]string{},
		scopes:  []string{"--oidc-extra-scope=email,groups"},
		granted: own.grantedSoFar,
		secrets: func() []string { return []string{own.password} },
		endLogins: func() {
			own.admin(own.password, "user", "set-password", "alice", "--password-stdin")
		},
	}
	own.replace = own.restart
	own.register = func(id, secret, redirectURI, afterLogout string) {
		own.admin(secret, "client", "add", id, "--redirect-uri", redirectURI, "--post-logout-redirect-uri", afterLogout, "--secret-stdin")
	}
	own.declareClients()
	return own
}

// declareClients writes a configuration with a client of each kind.
func (own *tegata) declareClients() {
	own.t.Helper()
	authority := newAuthority(own.t)
	m := newMaterial(own.t, own.t.TempDir(), authority)
	secretFile := write(own.t, filepath.Join(m.dir, "secret"), m.secret)
	for k, key := range m.keys {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			own.t.Fatal(err)
		}
		write(own.t, m.file(k, ".pub"), encodePEM("PUBLIC KEY", der))
	}
	config := "password_hash: {memory_kib: 8, time: 1}\ntls: {client_ca: " +
		write(own.t, filepath.Join(m.dir, "authority.crt"), authority.certificate) + "}\nclients:\n"
	for k, settings := range map[kind]string{
		public:      "public: true",
		es256:       "public: true, signing_alg: ES256",
		secretBasic: "authentication: client_secret_basic, secret_file: " + secretFile,
		secretPost:  "authentication: client_secret_post, secret_file: " + secretFile,
		keyRSA:      "authentication: private_key_jwt, jwks_file: " + m.file(keyRSA, ".pub"),
		keyEC:       "authentication: private_key_jwt, jwks_file: " + m.file(keyEC, ".pub"),
		certificate: "authentication: tls_client_auth, tls_subject: 'dns:localhost'",
		selfSigned:  "authentication: self_signed_tls_client_auth, jwks_file: " + m.file(selfSigned, ".crt"),
		device:      "public: true, grants: [device_code, refresh_token]",
		machine:     "secret_file: " + secretFile + ", grants: [client_credentials]",
	} {
		if k.hasBrowser() {
			settings += ", redirect_uris: ['http://localhost:8000']"
		}
		config += "- {id: " + string(k) + ", " + settings + "}\n"
		own.clients[k] = m.flags(k)
	}
	write(own.t, own.configuration, config)
}

func (own *tegata) serve(listen string) {
	own.t.Helper()
	command := exec.Command(filepath.Join(binDir, "tegata"),
		"serve", "--dev", "--config", own.configuration, "--data-dir", own.dir, "--listen", listen, "--log-level", "debug")
	own.process, own.issuer = start(own.t, command, filepath.Join(own.dir, "output"))
	own.caFile = filepath.Join(own.dir, "ca.crt")
}

func (own *tegata) addAlice() {
	own.t.Helper()
	own.admin("", "group", "add", "platform-engineer")
	own.admin(own.password, "user", "add", "alice", "--email", "alice@example.com", "--group", "platform-engineer", "--password-stdin")
}

// restart ends it, and starts another one at the same address, with the same
// authority and other keys. That one has never heard of anybody but alice.
func (own *tegata) restart() {
	own.t.Helper()
	own.process.Kill()
	before := own.dir
	own.dir = own.t.TempDir()
	for _, name := range []string{"ca.crt", "ca.key"} {
		write(own.t, filepath.Join(own.dir, name), read(own.t, filepath.Join(before, name)))
	}
	own.serve("127.0.0.1:" + strconv.Itoa(port(own.t, own.issuer)))
	own.addAlice()
}

// admin runs a command of the administrator beside the server.
func (own *tegata) admin(stdin string, args ...string) string {
	own.t.Helper()
	command := exec.Command(filepath.Join(binDir, "tegata"), append(args, "--config", own.configuration, "--data-dir", own.dir)...)
	command.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		own.t.Fatalf("tegata %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.String()
}

func (own *tegata) grantedSoFar(grant string) int {
	return strings.Count(read(own.t, own.process.Log), `msg="tokens issued" grant_type=`+grant)
}
