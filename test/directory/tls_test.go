// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/test/directory"
)

// Each way to reach a directory is a source of one server.
func TestWaysToADirectory(t *testing.T) {
	t.Parallel()
	bob := person("uid=bob", "bob", "")
	server, late := directory.Start(t, bob), directory.StartWith(t, bob, directory.Options{Expired: true})
	strict := directory.StartWith(t, bob, directory.Options{ClientCertificates: true})
	certificate, key := strict.ClientCertificate(t)
	ways := []struct {
		name   string
		server *directory.Server
		ldap   settings
		want   string // in the log; empty: it works
	}{
		{"ldaps", server, nil, ""},
		{"start-tls", server, settings{"servers": []string{server.LDAP}, "start_tls": true}, ""},
		{"plaintext", server, settings{"servers": []string{server.LDAP}, "plaintext": true}, ""},
		{"client-certificate", strict, settings{"client_certificate": certificate, "client_key": key}, ""},
		{"client-certificate-start-tls", strict, settings{"servers": []string{strict.LDAP}, "start_tls": true, "client_certificate": certificate, "client_key": key}, ""},
		{"wrong-authority", server, settings{"ca": strict.CAFile}, "certificate signed by unknown authority"},
		{"wrong-authority-start-tls", server, settings{"servers": []string{server.LDAP}, "start_tls": true, "ca": strict.CAFile}, "certificate signed by unknown authority"},
		{"wrong-name", server, settings{"server_name": "ldap.example.com"}, "not ldap.example.com"},
		{"expired", late, nil, "certificate has expired"},
		{"no-client-certificate", strict, nil, strict.LDAPS[len("ldaps://"):]},
		{"tls-to-the-plain-port", server, settings{"servers": []string{"ldaps://" + server.LDAP[len("ldap://"):]}}, "TLS"},
		{"wrong-secret", server, settings{"bind_password_environment": "HOME"}, "binding as the searching account"},
	}
	var sources []settings
	for _, way := range ways {
		source := named(corp(way.server), way.name, settings{"username_prefix": way.name + "-"})
		for key, value := range way.ldap {
			source.of("ldap")[key] = value
		}
		sources = append(sources, source)
	}
	p := serve(t, sources...)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			before := len(read(t, p.process.Log))
			got := p.browser().logIn(way.name, "bob", "bob-password")
			if way.want == "" {
				if got.code == "" {
					t.Errorf("got %d: %s\n%s", got.status, got.text, read(t, p.process.Log)[before:])
				}
				return
			}
			if got.status != http.StatusServiceUnavailable || !strings.Contains(got.problem, unavailable) {
				t.Errorf("got %d: %s", got.status, got.text)
			}
			if said := read(t, p.process.Log)[before:]; !strings.Contains(said, way.want) {
				t.Errorf("the log does not say %q: %s", way.want, said)
			}
		})
	}
	for _, refused := range p.recorded(audit.LoginRefused) {
		if refused.Reason != "source-unavailable" || refused.Source == "" {
			t.Errorf("in the audit trail: %+v", refused)
		}
	}
}

// The searching account gets another password, and the file that holds it
// follows, as a secret of Kubernetes does. Nobody restarts anything.
func TestTheBindPasswordIsRotated(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	held := filepath.Join(t.TempDir(), "bind.secret")
	hold := func(password string) {
		t.Helper()
		if err := os.WriteFile(held, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hold(directory.SearcherPassword)
	source := corp(server)
	delete(source.of("ldap"), "bind_password_environment")
	source.of("ldap")["bind_password_file"] = held
	p := serve(t, source)
	alice, _ := p.logIn("", "alice", "alice-password")

	const fresh = "another searcher-password"
	searcher, err := goldap.DialURL(server.LDAP)
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	if err := searcher.Bind(directory.SearcherDN, directory.SearcherPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := searcher.PasswordModify(goldap.NewPasswordModifyRequest("", directory.SearcherPassword, fresh)); err != nil {
		t.Fatal(err)
	}
	server.Process().Kill() // or the connections that are open would do
	server.Restart(t)
	alice.mustRefresh() // from memory: the old password is refused
	// The account must not get locked by the logins of a morning: five wrong
	// passwords would do.
	for range 10 {
		if got := p.browser().logIn("", "josé", "josé-password"); got.status != http.StatusServiceUnavailable {
			t.Errorf("with the old password: got %d: %s", got.status, got.text)
		}
	}
	hold(fresh)
	eventually(t, 30*time.Second, func() error {
		if got, err := p.browser().tryLogIn("", "josé", "josé-password"); err != nil || got.code == "" {
			return fmt.Errorf("%v, %d: %s", err, got.status, got.problem)
		}
		return nil
	})
	alice.mustRefresh()
}
