// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func writeCertificate(t *testing.T, certificateFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"id.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certificateFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The local certificate authority is trusted by a person's browser and an API
// server. Whoever steals its key must not be able to be anybody else.
func TestDevAuthorityCannotSignForOtherNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startServer(t, dir)
	if _, err := p.stop(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, test := range []struct {
		name string
		make func(*x509.Certificate)
		want bool
	}{
		{"localhost", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }, true},
		{"loopback address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} }, true},
		{"another name", func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }, false},
		{"a name that ends alike", func(c *x509.Certificate) { c.DNSNames = []string{"notlocalhost"} }, false},
		{"both", func(c *x509.Certificate) { c.DNSNames = []string{"localhost", "example.com"} }, false},
		{"another address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, false},
		{"an IPv6 address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }, false},
		{"a mailbox", func(c *x509.Certificate) { c.EmailAddresses = []string{"root@example.com"} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			template := &x509.Certificate{
				SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
			}
			usage := x509.ExtKeyUsageServerAuth
			if test.name == "a mailbox" {
				usage = x509.ExtKeyUsageEmailProtection
			}
			template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
			test.make(template)
			der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, key.Public(), pair.PrivateKey.(crypto.Signer))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
			if got := err == nil; got != test.want {
				t.Errorf("verified: %t (%v), want %t", got, err, test.want)
			}
		})
	}
	t.Run("another authority below it", func(t *testing.T) {
		if !pair.Leaf.MaxPathLenZero || pair.Leaf.MaxPathLen != 0 {
			t.Error("the authority may make authorities")
		}
	})
}

// Ctrl-C ends the server although clients hold their connections: one that
// asked something and is idle, and one that a browser opened in advance and
// never used.
func TestServeStopsWithIdleConnections(t *testing.T) {
	for _, test := range []struct {
		name string
		hold func(t *testing.T, p *process, ca string)
	}{
		{"used", ask},
		{"never used", func(t *testing.T, p *process, ca string) {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM([]byte(ca))
			c, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: pool, ServerName: "localhost"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := startServer(t, dir)
			test.hold(t, p, readFile(t, filepath.Join(dir, "ca.crt")))
			begun := time.Now()
			code, err := p.stop(os.Interrupt)
			if err != nil || code != 0 {
				t.Errorf("ended with %d, %v; want 0\n%s", code, err, p.stderr.String())
			}
			// A second is what a person waits for; the rest is for a busy machine.
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("took %s to end, want about a second at the most", took.Round(100*time.Millisecond))
			}
		})
	}
}

func ask(t *testing.T, p *process, ca string) {
	t.Helper()
	client := p.client(ca)
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get(p.issuer + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
}

func TestTenUsersAddedAtOnceBesideAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startServer(t, dir)
	addTen(t, dir)
}

// The same on a machine where nothing was served yet: the ten processes make
// the key, the database and its tables at the same time.
func TestTenUsersAddedAtOnceBeforeTheFirstServe(t *testing.T) {
	t.Parallel()
	for range 2 {
		addTen(t, filepath.Join(t.TempDir(), "data"))
	}
}

func addTen(t *testing.T, dir string) {
	t.Helper()
	var wait sync.WaitGroup
	for n := range 10 {
		wait.Go(func() {
			out, err := run(t, "correct horse battery\n", "user", "add", fmt.Sprintf("user%d", n), "--password-stdin", "--data-dir", dir)
			if err != nil {
				t.Errorf("user%d: %v: %s", n, err, out)
			}
		})
	}
	wait.Wait()
	out := tegata(t, nil, "", "user", "list", "--output", "json", "--data-dir", dir).must(t)
	var users []struct{ Username string }
	if err := json.Unmarshal([]byte(out.stdout), &users); err != nil {
		t.Fatal(err)
	}
	if len(users) != 10 {
		t.Errorf("got %d users, want 10: %v", len(users), users)
	}
}

// Two servers that start on an empty folder at the same moment agree on one
// authority and one set of keys; neither is sent away with a riddle.
func TestTwoFirstStartsAtOnceAgree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	servers := []*process{{}, {}}
	var wait sync.WaitGroup
	for _, p := range servers {
		t.Cleanup(p.kill)
		home := t.TempDir()
		wait.Go(func() {
			if err := p.start(home, os.Environ(), "--dev", "--listen", "127.0.0.1:0", "--data-dir", dir); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	var sets []string
	for _, p := range servers {
		client := p.client(readFile(t, filepath.Join(dir, "ca.crt")))
		defer client.CloseIdleConnections()
		response, err := client.Get(p.issuer + "/keys")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, string(body))
	}
	if sets[0] != sets[1] {
		t.Errorf("two key sets for one issuer:\n%s\n%s", sets[0], sets[1])
	}
}

// Nothing that tegata writes below the data directory shows a secret.
func TestNothingSecretRestsInTheClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startServer(t, dir)
	tegata(t, nil, "correct horse battery\n", "user", "add", "alice", "--password-stdin", "--data-dir", dir).must(t)
	out := tegata(t, nil, "", "client", "add", "web", "--redirect-uri", "https://web.example.com/", "--data-dir", dir).must(t)
	_, secret, _ := strings.Cut(strings.TrimSpace(out.stdout), "client secret: ")
	if _, err := p.stop(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text := readFile(t, filepath.Join(dir, entry.Name()))
		for _, needle := range []string{"correct horse", secret} {
			if needle == "" || strings.Contains(text, needle) {
				t.Errorf("%s holds %q", entry.Name(), needle)
			}
		}
		if strings.Contains(text, "PRIVATE KEY") && entry.Name() != "ca.key" {
			t.Errorf("%s holds a private key", entry.Name())
		}
		if strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}
