// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import "crypto/x509"

// HasSubject reports whether the certificate has the name that a client is
// registered with.
func HasSubject(certificate *x509.Certificate, name string) (bool, error) {
	parsed, err := parseSubjectName(name)
	if err != nil || certificate == nil {
		return false, err
	}
	return parsed.matches(certificate), nil
}
