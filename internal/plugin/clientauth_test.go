// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidctest"
)

// A client that proves who it is by a key or by a certificate: login, refresh
// and client credentials.
func TestClientProvesWhoItIs(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(d *desk, name, kind string, der []byte) string {
		path := filepath.Join(d.home, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, test := range []struct {
		name    string
		prepare func(*desk, *oidctest.Behaviour) []string // the flags
	}{
		{"private_key_jwt", func(d *desk, b *oidctest.Behaviour) []string {
			b.AssertionKey = signer.Public()
			return []string{"--oidc-client-assertion-key=" + write(d, "assertion.pem", "PRIVATE KEY", private(signer))}
		}},
		{"mTLS", func(d *desk, b *oidctest.Behaviour) []string {
			own := d.provider.Certificate() // any certificate with its key
			b.Certificate = own.Certificate[0]
			return []string{
				"--oidc-client-certificate=" + write(d, "client.crt", "CERTIFICATE", own.Certificate[0]),
				"--oidc-client-key=" + write(d, "client.key", "PRIVATE KEY", private(own.PrivateKey)),
				"--tls-renegotiation-once",
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			var flags []string
			d.provider.Change(func(b *oidctest.Behaviour) { flags = test.prepare(d, b) })
			d.getToken(flags...)
			d.getToken(append(flags, "--force-refresh")...)
			if got := d.provider.Refreshes(); got != 1 {
				t.Errorf("got %d refreshes, want 1", got)
			}
			d.getToken(append(flags, "--grant-type=client-credentials", "--oidc-use-access-token")...)
			c := d.command("--oidc-extra-scope=without")
			if text, err := c.CombinedOutput(); err == nil || !strings.Contains(string(text), "invalid_client") {
				t.Errorf("without a proof: got %v and %s", err, text)
			}
		})
	}
}
