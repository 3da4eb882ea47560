// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// A server shows a certificate that the named authority has signed for its
// name, or nothing is said to it.
func TestServerIsVerified(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "fsync=off")
	dir := t.TempDir()
	ca := issue(t, dir, "ca", nil)
	other := issue(t, dir, "other", nil)
	issue(t, filepath.Join(server.Dir, "data"), "server", ca)
	storetest.Check(t, errors.Join(
		server.Own(filepath.Join(server.Dir, "data", "server.crt")),
		server.Own(filepath.Join(server.Dir, "data", "server.key")),
	))
	server.Exec(t, "postgres", `ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()`)
	verified := server.URL("postgres") + "?sslmode=verify-full"
	for _, test := range []struct {
		name, url, ca, want string
	}{
		{"the right authority", verified, ca.file, ""},
		{"another authority", verified, other.file, "x509: certificate signed by unknown authority"},
		{"the authorities of the system", verified, "", "x509: certificate signed by unknown authority"},
		{"another name", strings.Replace(verified, "127.0.0.1", "localhost", 1), ca.file, "x509: certificate is not valid for any names, but wanted to match localhost"},
	} {
		// The server reads its settings in its own time.
		var err error
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			var db *store.DB
			if db, err = store.Open(t.Context(), store.Config{Postgres: &store.Postgres{URL: test.url, CAFile: test.ca}}); err == nil {
				storetest.Check(t, db.Close())
			}
			if err == nil || !strings.Contains(err.Error(), "refused TLS") || time.Now().After(deadline) {
				break
			}
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// authority is a certificate and its key.
type authority struct {
	file        string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue writes NAME.crt and NAME.key: an authority, or what one signed for
// 127.0.0.1.
func issue(t *testing.T, dir, name string, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	storetest.Check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	made := &authority{file: filepath.Join(dir, name+".crt"), certificate: template, key: key}
	if by == nil {
		by = made
	} else {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	storetest.Check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	storetest.Check(t, err)
	storetest.Check(t, errors.Join(
		os.WriteFile(made.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	))
	return made
}
