// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Certificate is the certificate that the sender of a request has shown, or
// nil. That the sender holds its key is what TLS has seen to; nothing else
// about it was checked.
func Certificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// CertificateThumbprint is the SHA-256 of the certificate that the sender of
// a request has shown, in base64url, or empty: what a certificate-bound
// access token holds (RFC 8705, section 3.1).
func CertificateThumbprint(r *http.Request) string {
	certificate := Certificate(r)
	if certificate == nil {
		return ""
	}
	return thumbprint(certificate)
}

func thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkCertificate tells why the certificate is not the client's (RFC 8705,
// section 2), or returns nil.
func (a *Authenticator) checkCertificate(r *http.Request, client Client) error {
	shown := Certificate(r)
	switch {
	case shown == nil:
		return errors.New("no certificate")
	case client.Authentication == SelfSignedTLS:
		// Section 2.2: it is one of those that are registered. It says of
		// itself how long it is good.
		now := a.Now()
		if now.Before(shown.NotBefore) || now.After(shown.NotAfter) {
			return errors.New("a certificate that is not good now")
		}
		if !slices.Contains(client.thumbprints(), thumbprint(shown)) {
			return errors.New("a certificate that is not registered for it")
		}
		return nil
	case a.Authorities == nil:
		return errors.New("a certificate, and no authority is trusted")
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := shown.Verify(x509.VerifyOptions{
		Roots: a.Authorities, Intermediates: intermediates, CurrentTime: a.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("a certificate that no trusted authority vouches for: %w", err)
	}
	// An authority's own certificate is vouched for by itself alone.
	if !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return len(chain) > 1 }) {
		return errors.New("the certificate of an authority")
	}
	name, err := parseSubjectName(client.TLSSubject)
	if err != nil {
		return err
	}
	if !name.matches(shown) {
		return fmt.Errorf("a certificate with the subject %q, which is not the one that is registered", shown.Subject)
	}
	return nil
}
