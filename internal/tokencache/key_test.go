// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/tegata/tegata/internal/tokencache"
)

func key(t *testing.T, i tokencache.Identity) tokencache.Key {
	t.Helper()
	k, err := i.Key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A key is on people's disks: another one asks them all to log in again.
func TestKeyIsStable(t *testing.T) {
	for _, test := range []struct {
		identity tokencache.Identity
		want     tokencache.Key
	}{
		{tokencache.Identity{Issuer: "https://id.example.com", ClientID: "kubernetes"}, "fe73051aa67962b96e08dcfc0a0602099f59a1f03bcf4091347b2bc82fb65010"},
		{tokencache.Identity{
			Issuer: "https://id.example.com", ClientID: "kubernetes", Scopes: []string{"groups", "email"}, InsecureSkipTLSVerify: true,
			RequestHeaders: map[string]string{"Origin": "x", "A": "b"}, AuthRequestExtraParams: map[string]string{"ttl": "1", "a": "b"},
		}, "b16149fc73fa8018683d3a90d68ebe97efe592e58da6c5de46fb1ca2b4f9d809"},
	} {
		if got := key(t, test.identity); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestKeyIsCanonical(t *testing.T) {
	one, two := certificate(t), certificate(t)
	a := tokencache.Identity{
		Issuer: "https://id.example.com", ClientID: "kubernetes", Scopes: []string{"email", "groups"},
		Authorities:            [][]byte{append(append([]byte{}, one...), two...)},
		RequestHeaders:         map[string]string{"a": "1", "b": "2", "c": "3"},
		AuthRequestExtraParams: map[string]string{"x": "1", "y": "2"},
	}
	b := tokencache.Identity{
		Issuer: "https://id.example.com", ClientID: "kubernetes", Scopes: []string{"groups", "email", "groups"},
		Authorities:            [][]byte{append([]byte("# a comment\n"), two...), one, one},
		RequestHeaders:         map[string]string{"c": "3", "b": "2", "a": "1"},
		AuthRequestExtraParams: map[string]string{"y": "2", "x": "1"},
	}
	for range 100 {
		if key(t, a) != key(t, b) {
			t.Fatal("the same identity has two keys")
		}
	}
}

func TestKeyTellsIdentitiesApart(t *testing.T) {
	seen := map[tokencache.Key]int{}
	for n, i := range []tokencache.Identity{
		{Issuer: "a", ClientID: "b"},
		{Issuer: "ab", ClientID: ""},
		{Issuer: "a/", ClientID: "b"},
		{Issuer: "a", ClientID: "b", Scopes: []string{"c"}},
		{Issuer: "a", ClientID: "b", Scopes: []string{"c", "d"}},
		{Issuer: "a", ClientID: "b", Scopes: []string{"cd"}},
		{Issuer: "a", ClientID: "b", InsecureSkipTLSVerify: true},
		{Issuer: "a", ClientID: "b", Authorities: [][]byte{certificate(t)}},
		{Issuer: "a", ClientID: "b", Authorities: [][]byte{certificate(t)}},
		{Issuer: "a", ClientID: "b", RequestHeaders: map[string]string{"x": "y"}},
		{Issuer: "a", ClientID: "b", AuthRequestExtraParams: map[string]string{"x": "y"}},
		{Issuer: "a", ClientID: "b", AuthRequestExtraParams: map[string]string{"xy": ""}},
		{Issuer: "a", ClientID: "b", AccessToken: true},
		{Issuer: "a", ClientID: "b", Username: "alice"},
		{Issuer: "a", ClientID: "b", Username: "bob"},
		{Issuer: "a", ClientID: "b", Client: true},
		{Issuer: "a", ClientID: "b", Client: true, AccessToken: true},
	} {
		k := key(t, i)
		if other, ok := seen[k]; ok {
			t.Errorf("identities %d and %d share a key", other, n)
		}
		seen[k] = n
	}
}

func TestKeyWantsACertificate(t *testing.T) {
	if _, err := (tokencache.Identity{Authorities: [][]byte{[]byte("nothing")}}).Key(); err == nil {
		t.Error("an authority without a certificate was taken")
	}
}

func certificate(t *testing.T) []byte {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
