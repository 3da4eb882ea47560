// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/exit"
)

// TestScripts plays the sessions in testdata, each in a folder of its own
// with $TEGATA_DATA_DIR below it.
//
//	exits CODE PROGRAM ARG…   runs a program; a failure prints nothing on standard output
//	serve ARG…                starts tegata serve and waits until it serves; sets $ISSUER and $ADDRESS
//	stop-server SIGNAL CODE   ends it with INT or TERM; its output is in serve.stdout and serve.stderr
//	get CA URL                fetches URL from the server into the files status and body
//	certificate HOST          makes tls.crt and tls.key for HOST, self-signed
//	hog                       takes a port and sets $HOGGED
//	mode PERM FILE…           checks permissions
//	log-in USER CLIENT SCOPE AGENT   logs in in a browser that calls itself AGENT; the password is "correct horse battery"
//	at-home USER PATH         logs in at the issuer's own page, and fetches a page below it into the files status and body
//	enrol USER [NAME]         adds an app that shows codes to the user, on the pages of the server
//	set-password LINK PASSWORD STATUS   sets a password on the page of a link
//	fail-login USER TIMES     gives a wrong password so many times
//	eventually CA URL REGEXP  fetches URL until the body matches
//	secret FILE REGEXP        remembers a secret; from then on standard error must not hold it
//	remember NAME FILE REGEXP sets $NAME to what the group of the expression matches
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TEGATA_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			e.Values[serverKey{}] = &process{}
			e.Values[secretsKey{}] = &[]string{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "serve": serve, "stop-server": stopServer, "get": get,
			"certificate": certificate, "hog": hog, "mode": mode, "secret": rememberSecret,
			"eventually": eventually, "remember": remember, "log-in": logIn, "set-password": setPassword, "fail-login": failLogin, "at-home": atHome, "enrol": enrol, "logged": logged, "fetch": fetch, "hangup": hangup,
		},
	})
}

type (
	serverKey  struct{}
	secretsKey struct{}
)

// exits runs a program and checks its exit code, that a failure leaves
// standard output empty, and that no secret is on standard error. Findings
// are no failure.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
	if code != 0 && code != exit.Findings && ts.ReadFile("stdout") != "" {
		ts.Fatalf("standard output of a failure is not empty")
	}
	for _, secret := range *ts.Value(secretsKey{}).(*[]string) {
		if strings.Contains(ts.ReadFile("stderr"), secret) {
			ts.Fatalf("standard error holds a secret")
		}
	}
}

func rememberSecret(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile(args[0]))
	if len(found) != 2 {
		ts.Fatalf("%s holds no %s", args[0], args[1])
	}
	secrets := ts.Value(secretsKey{}).(*[]string)
	*secrets = append(*secrets, found[1])
	ts.Setenv("SECRET", found[1])
}

func remember(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s holds no %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	for _, path := range args[1:] {
		info, err := os.Stat(ts.MkAbs(path))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", path, got, args[0])
		}
	}
}

// hog takes a port, as another program would.
func hog(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("HOGGED", listener.Addr().String())
}

func certificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: args[0]}, DNSNames: []string{args[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}

func serve(ts *testscript.TestScript, _ bool, args []string) {
	environment := []string{}
	for _, name := range []string{"PATH", "HOME", "TEGATA_DATA_DIR", "TEGATA_CONFIG", "TEST_KEY", "TEST_SECRET"} {
		if value := ts.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	p := ts.Value(serverKey{}).(*process)
	*p = process{}
	ts.Check(p.start(ts.MkAbs("."), environment, args...))
	ts.Defer(p.kill)
	ts.Setenv("ISSUER", p.issuer)
	ts.Setenv("ADDRESS", p.address)
}

func stopServer(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(serverKey{}).(*process)
	name := map[string]os.Signal{"INT": os.Interrupt, "TERM": terminate}[args[0]]
	code, err := p.stop(name)
	ts.Check(os.WriteFile(ts.MkAbs("serve.stdout"), []byte(p.stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("serve.stderr"), []byte(p.stderr.String()), 0o600))
	ts.Check(err)
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("the server ended with %d, want %s:\n%s", code, args[1], p.stderr.String())
	}
}

func get(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(serverKey{}).(*process)
	client := p.client(ts.ReadFile(args[0]))
	defer client.CloseIdleConnections()
	response, err := client.Get(args[1])
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("status"), []byte(strconv.Itoa(response.StatusCode)), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}

// logged waits until the server's log says something, and keeps what the
// group of the expression matched in a variable.
func logged(ts *testscript.TestScript, _ bool, args []string) {
	p, want := ts.Value(serverKey{}).(*process), regexp.MustCompile(args[0])
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if found := want.FindStringSubmatch(p.stderr.String()); found != nil {
			if len(args) == 2 {
				ts.Setenv(args[1], found[1])
			}
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("the log does not say %s:\n%s", args[0], p.stderr.String())
		}
	}
}

// fetch is get without TLS.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	response, err := http.Get(args[0])
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}

// hangup asks the server to read its configuration again.
func hangup(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value(serverKey{}).(*process).command.Process.Signal(syscall.SIGHUP))
}

func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[2])
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		get(ts, false, args[:2])
		if body := ts.ReadFile("body"); want.MatchString(body) {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("%s does not say %s:\n%s", args[1], args[2], body)
		}
	}
}

// client trusts one certificate authority and dials the server, whatever the
// name in the URL.
func (p *process) client(ca string) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca))
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext:       p.dial,
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true,
	}}
}
