// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"
)

// A kind is how a client shows who it is, or what it may do.
type kind string

const (
	public      kind = "public"
	secretBasic kind = "secret-basic"
	secretPost  kind = "secret-post" // and not otherwise
	keyRSA      kind = "key-rsa"
	keyEC       kind = "key-ec"
	certificate kind = "certificate" // signed by an authority
	selfSigned  kind = "self-signed"
	es256       kind = "es256" // its ID tokens
	ps256       kind = "ps256"
	device      kind = "device"
	machine     kind = "machine" // client credentials
)

// hasBrowser reports whether clients of the kind log in with a browser.
func (k kind) hasBrowser() bool { return k != device && k != machine }

// material is what the clients of a test show.
type material struct {
	dir    string // where the plugin finds it
	secret string
	keys   map[kind]crypto.Signer
	own    *x509.Certificate // of the client that signs its own
}

// newMaterial makes some; signs vouches for one of the certificates.
func newMaterial(t testing.TB, dir string, signs *certifier) material {
	t.Helper()
	m := material{
		dir:    dir,
		secret: "s3cr3t+ %&" + rand.Text(), // another one when it is encoded for a form
		keys:   map[kind]crypto.Signer{keyRSA: newRSA(t), keyEC: newEC(t)},
	}
	for k, key := range m.keys {
		write(t, m.file(k, ".key"), encodeKey(t, key))
	}
	for k, signer := range map[kind]*certifier{certificate: signs, selfSigned: newAuthority(t)} {
		pair := signer.issue(t, x509.ExtKeyUsageClientAuth)
		write(t, m.file(k, ".crt"), pair.certificate)
		write(t, m.file(k, ".key"), pair.key)
	}
	block, _ := pem.Decode([]byte(read(t, m.file(selfSigned, ".crt"))))
	var err error
	if m.own, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m material) file(k kind, extension string) string {
	return filepath.Join(m.dir, string(k)+extension)
}

// flags are those with which the plugin is a client of the kind.
func (m material) flags(k kind) []string {
	flags := []string{"--oidc-client-id=" + string(k)}
	switch k {
	case secretBasic, secretPost:
		return append(flags, "--oidc-client-secret="+m.secret)
	case keyRSA, keyEC:
		return append(flags, "--oidc-client-assertion-key="+m.file(k, ".key"))
	case certificate, selfSigned:
		return append(flags, "--oidc-client-certificate="+m.file(k, ".crt"), "--oidc-client-key="+m.file(k, ".key"))
	case device:
		return append(flags, "--grant-type=device-code")
	case machine:
		return append(flags, "--grant-type=client-credentials", "--oidc-client-secret="+m.secret)
	}
	return flags
}
