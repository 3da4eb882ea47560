// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/exit"
)

// The files of the local certificate authority in the data directory: the
// certificate for others, and the key with a copy of the certificate.
const (
	devCACertificate = "ca.crt"
	devCAKey         = "ca.key"
)

// devCertificate makes a serving certificate for loopback addresses, signed by
// the local certificate authority of the data directory, which is made on
// first use. The authority may sign for loopback names only, so that nothing
// else is lost with its key.
func devCertificate(dataDir string, now time.Time) (tls.Certificate, error) {
	ca, caKey, err := devCA(dataDir, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the serving key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(0, 0, 365),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the serving certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: key}, nil
}

func devCA(dataDir string, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	certificateFile, keyFile := filepath.Join(dataDir, devCACertificate), filepath.Join(dataDir, devCAKey)
	startOver := "delete " + keyFile + " and " + certificateFile + " to make a new one; everything that trusts it needs the new file"
	pair, err := tls.LoadX509KeyPair(keyFile, keyFile)
	if _, published := os.Stat(certificateFile); errors.Is(err, fs.ErrNotExist) && errors.Is(published, fs.ErrNotExist) {
		// Of several processes that make one, the first to write it wins.
		if err := makeDevCA(keyFile, now); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil, fmt.Errorf("making the local certificate authority: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(keyFile, keyFile)
	} else if errors.Is(err, fs.ErrNotExist) {
		// The key is written first, so it is there now or it was lost.
		pair, err = tls.LoadX509KeyPair(keyFile, keyFile)
	}
	if err != nil {
		return nil, nil, exit.WithHint(fmt.Errorf("reading the local certificate authority: %w", err), startOver)
	}
	if now.AddDate(1, 0, 0).After(pair.Leaf.NotAfter) {
		return nil, nil, exit.WithHint(fmt.Errorf("the local certificate authority expires on %s", pair.Leaf.NotAfter.Format(time.DateOnly)), startOver)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, exit.WithHint(errors.New("the local certificate authority has a key that cannot sign"), startOver)
	}
	return pair.Leaf, key, publishDevCA(certificateFile, pair.Leaf.Raw)
}

// publishDevCA writes the file that others read, if it is not there.
func publishDevCA(path string, der []byte) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := writeNew(path, encodePEM("CERTIFICATE", der)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing the certificate of the local authority: %w", err)
	}
	return os.Chmod(path, 0o644) // the API server and others read it
}

// makeDevCA writes the key and the certificate into one file, so that no
// process ever sees half of the pair.
func makeDevCA(keyFile string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	number := serial()
	template := &x509.Certificate{
		SerialNumber:                number,
		Subject:                     pkix.Name{CommonName: fmt.Sprintf("Tegata local CA %x", number.Bytes()[:3])},
		NotBefore:                   now.Add(-time.Hour),
		NotAfter:                    now.AddDate(10, 0, 0),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, // no mailboxes, no code
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeNew(keyFile, encodePEM("PRIVATE KEY", pkcs8)+encodePEM("CERTIFICATE", der))
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func serial() *big.Int {
	raw := make([]byte, 16)
	rand.Read(raw)
	raw[0] = raw[0]&0x7f | 0x40 // positive, and always 16 bytes
	return new(big.Int).SetBytes(slices.Clone(raw))
}
