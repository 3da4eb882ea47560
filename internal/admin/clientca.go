// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/tegata/tegata/internal/exit"
)

// clientAuthorities are the certificates of tls.client_ca.
type clientAuthorities struct {
	// trusted vouch for certificates of clients. It is nil if none is asked
	// for.
	trusted *x509.CertPool
	// named is what a client is told, so that it knows which certificate to
	// show: those that are trusted, and those that clients signed themselves.
	named *x509.CertPool
}

// clientAuthorities reads the file. A certificate that is no authority may
// stand there too: the one that a client signed itself. It vouches for
// nothing; but some programs only show what is named to them.
func (t tlsConfig) clientAuthorities() (clientAuthorities, error) {
	if t.ClientCA == "" {
		return clientAuthorities{}, nil
	}
	text, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return clientAuthorities{}, exit.Misuse("", "tls.client_ca: reading the authorities of clients: %w", err)
	}
	a := clientAuthorities{x509.NewCertPool(), x509.NewCertPool()}
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return clientAuthorities{}, exit.Misuse("leave only certificates in it", "tls.client_ca: %s holds a %s", t.ClientCA, block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return clientAuthorities{}, exit.Misuse("", "tls.client_ca: %s: %w", t.ClientCA, err)
		}
		found = true
		a.named.AddCert(certificate)
		if certificate.IsCA {
			a.trusted.AddCert(certificate)
		}
	}
	if !found {
		return clientAuthorities{}, exit.Misuse("", "tls.client_ca: %s holds no certificate in PEM", t.ClientCA)
	}
	return a, nil
}

// ask makes the server ask for certificates. It takes any that is shown, or
// none: people's browsers come here too, and which certificate is whose is
// for the endpoints to say.
func (a clientAuthorities) ask(c *tls.Config) {
	if a.trusted != nil {
		c.ClientAuth, c.ClientCAs = tls.RequestClientCert, a.named
	}
}
