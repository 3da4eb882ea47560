// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package directory starts real LDAP servers for tests: slapd of the
// operating system's package, with TLS, memberof and password policies, each
// in a temporary directory and on free ports. What it has tests for is the
// source of users in a directory.
package directory

import (
	"bytes"
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
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/test/process"
)

// The names of the tree that every server has.
const (
	Base          = "dc=example,dc=com"
	People        = "ou=people," + Base
	GroupsBase    = "ou=groups," + Base
	AdminDN       = "cn=admin," + Base
	AdminPassword = "admin-password"
	// SearcherDN may read everything and nobody's password.
	SearcherDN       = "cn=searcher," + Base
	SearcherPassword = "searcher-password"
	// AgingPolicy is a pwdPolicySubentry whose passwords expire after a day.
	AgingPolicy = "cn=aging,ou=policies," + Base
)

// Server is a slapd of a test.
type Server struct {
	LDAP, LDAPS string // its addresses: ldap://127.0.0.1:PORT, ldaps://127.0.0.1:PORT
	Authority   *x509.CertPool
	CAFile      string // the same as a file, PEM

	dir     string
	command string
	process *process.Process
	admin   *ldap.Conn
}

// Options make a server other than most tests want it.
type Options struct {
	Expired bool // its certificate
	// ClientCertificates are demanded of who speaks TLS; ClientCertificate
	// makes one.
	ClientCertificates bool
}

// Start starts a server with the tree and the entries of the LDIF text, and
// stops it when the test ends.
func Start(t testing.TB, ldif string) *Server {
	t.Helper()
	return StartWith(t, ldif, Options{})
}

// StartWith is Start with options.
func StartWith(t testing.TB, ldif string, o Options) *Server {
	t.Helper()
	command, err := exec.LookPath("slapd")
	if err != nil {
		command = "/usr/sbin/slapd"
	}
	if _, err := os.Stat(command); err != nil {
		t.Fatal("this test needs slapd: apt-get install slapd")
	}
	s := &Server{dir: t.TempDir(), command: command}
	s.CAFile = filepath.Join(s.dir, "tls.crt")
	if s.Authority, err = s.writeCertificate(o.Expired); err != nil {
		t.Fatal(err)
	}
	if err := s.configure(tree+ldif, o); err != nil {
		t.Fatal(err)
	}
	plain, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	secure, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s.LDAP, s.LDAPS = fmt.Sprintf("ldap://127.0.0.1:%d", plain), fmt.Sprintf("ldaps://127.0.0.1:%d", secure)
	s.Restart(t)
	t.Cleanup(func() { s.process.Kill() })
	return s
}

// Add adds an entry to the running server, so that memberOf follows.
func (s *Server) Add(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	request := ldap.NewAddRequest(dn, nil)
	for name, values := range attributes {
		request.Attribute(name, values)
	}
	if err := s.Administer(t).Add(request); err != nil {
		t.Fatalf("adding %s: %v", dn, err)
	}
}

// Administer is a connection that may do everything, the same for all calls.
func (s *Server) Administer(t testing.TB) *ldap.Conn {
	t.Helper()
	if s.admin == nil || s.admin.IsClosing() {
		conn, err := ldap.DialURL(s.LDAP)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.Bind(AdminDN, AdminPassword); err != nil {
			t.Fatal(err)
		}
		s.admin = conn
	}
	return s.admin
}

// Process is the running slapd, for signals.
func (s *Server) Process() *process.Process { return s.process }

// Stall stops the server in the middle of whatever it does, until a SIGCONT.
func (s *Server) Stall(t interface{ Fatalf(string, ...any) }) {
	if err := s.process.Stall(); err != nil {
		t.Fatalf("stalling slapd: %v", err)
	}
}

// Restart starts the server again on its old ports.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	started, err := process.Start(exec.Command(s.command, "-d", "0", "-h", s.LDAP+"/ "+s.LDAPS+"/", "-f", filepath.Join(s.dir, "slapd.conf")),
		filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	s.process = started
	err = started.WaitFor(30*time.Second, func() error {
		conn, err := net.Dial("tcp", s.LDAPS[len("ldaps://"):])
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		t.Fatalf("starting slapd: %v", err)
	}
}

// TLS trusts the server's authority.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{RootCAs: s.Authority, MinVersion: tls.VersionTLS12}
}

// ClientCertificate makes a certificate that the server accepts, in PEM.
func (s *Server) ClientCertificate(t testing.TB) (certificateFile, keyFile string) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(s.CAFile, filepath.Join(s.dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificateFile, keyFile = filepath.Join(s.dir, "client.crt"), filepath.Join(s.dir, "client.key")
	if err := issue(certificateFile, keyFile, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "tegata"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &authority); err != nil {
		t.Fatal(err)
	}
	return certificateFile, keyFile
}

var slapdConf = template.Must(template.New("").Parse(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
pidfile {{.Dir}}/slapd.pid
TLSCACertificateFile {{.Dir}}/tls.crt
TLSCertificateFile {{.Dir}}/tls.crt
TLSCertificateKeyFile {{.Dir}}/tls.key
{{if .ClientCertificates}}TLSVerifyClient demand
{{end -}}
sizelimit 1000
database mdb
suffix "` + Base + `"
rootdn "` + AdminDN + `"
rootpw ` + AdminPassword + `
directory {{.Dir}}/data
index objectClass,uid,mail,member,memberUid,entryUUID eq
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.exact="` + SearcherDN + `" read by self read by * none
overlay memberof
overlay refint
overlay ppolicy
ppolicy_default "cn=default,ou=policies,` + Base + `"
ppolicy_use_lockout
`))

const tree = `dn: ` + Base + `
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,` + Base + `
objectClass: organizationalUnit
ou: people

dn: ou=groups,` + Base + `
objectClass: organizationalUnit
ou: groups

dn: ou=policies,` + Base + `
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,` + Base + `
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdMinLength: 8
pwdCheckQuality: 2
pwdLockout: TRUE
pwdMaxFailure: 5
pwdMustChange: TRUE
pwdAllowUserChange: TRUE

dn: ` + AgingPolicy + `
objectClass: pwdPolicy
objectClass: device
cn: aging
pwdAttribute: userPassword
pwdMinLength: 8
pwdCheckQuality: 2
pwdMaxAge: 86400

dn: ` + SearcherDN + `
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: ` + SearcherPassword + `

`

// configure writes the configuration and fills the database.
func (s *Server) configure(ldif string, o Options) error {
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		return err
	}
	var conf bytes.Buffer
	if err := slapdConf.Execute(&conf, struct {
		Dir string
		Options
	}{s.dir, o}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "slapd.conf"), conf.Bytes(), 0o600); err != nil {
		return err
	}
	add := exec.Command(s.command, "-T", "add", "-f", filepath.Join(s.dir, "slapd.conf"))
	add.Stdin = bytes.NewReader([]byte(ldif))
	if output, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("slapadd: %w\n%s", err, output)
	}
	return nil
}

// writeCertificate makes a certificate that signs itself, and others.
func (s *Server) writeCertificate(expired bool) (*x509.CertPool, error) {
	now := time.Now()
	if expired {
		now = now.Add(-48 * time.Hour)
	}
	err := issue(s.CAFile, filepath.Join(s.dir, "tls.key"), &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slapd"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, nil)
	if err != nil {
		return nil, err
	}
	certificate, err := os.ReadFile(s.CAFile)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool, err
}

// issue writes a certificate and its key in PEM; without an authority it
// signs itself.
func issue(certificateFile, keyFile string, template *x509.Certificate, authority *tls.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	parent, signer := template, crypto.PrivateKey(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}
