// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// certifier is an authority that signs the certificates of one test.
type certifier struct {
	certificate string // PEM
	parsed      *x509.Certificate
	key         *ecdsa.PrivateKey
}

// pair is a certificate and its key, in PEM.
type pair struct{ certificate, key string }

func newAuthority(t testing.TB) *certifier {
	t.Helper()
	key := newEC(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peers"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certifier{encodePEM("CERTIFICATE", der), parsed, key}
}

// issue makes a certificate for this machine's loopback names.
func (a *certifier) issue(t testing.TB, usage x509.ExtKeyUsage) pair {
	t.Helper()
	key := newEC(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: a.parsed.NotBefore, NotAfter: a.parsed.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{"localhost"}, IPAddresses: loopback(usage),
	}, a.parsed, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{encodePEM("CERTIFICATE", der), encodeKey(t, key)}
}

func loopback(usage x509.ExtKeyUsage) []net.IP {
	if usage == x509.ExtKeyUsageServerAuth {
		return []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	return nil
}

func encodeKey(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("PRIVATE KEY", der)
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
