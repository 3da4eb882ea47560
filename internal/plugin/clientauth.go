// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

// clientAuthFlags are how a confidential client shows who it is, beside
// --oidc-client-secret. kubelogin has none of them.
type clientAuthFlags struct {
	secretFile    string
	secretCommand string
	certificate   string
	key           string
	assertionKey  string
}

// checkClientAuth refuses what cannot be meant.
func (f *getTokenFlags) checkClientAuth() error {
	a := f.clientAuth
	ways := 0
	for _, given := range []bool{f.clientSecret != "", a.secretFile != "", a.secretCommand != "", a.assertionKey != "", a.certificate != ""} {
		if given {
			ways++
		}
	}
	switch {
	case (a.certificate == "") != (a.key == ""):
		return exit.Misuse("", "--oidc-client-certificate and --oidc-client-key go together")
	case ways > 1:
		// RFC 6749, section 2.3: not more than one method in each request.
		return exit.Misuse("", "only one of --oidc-client-secret, --oidc-client-secret-file, --oidc-client-secret-command, --oidc-client-assertion-key and --oidc-client-certificate can say who the client is")
	case ways == 0 && f.grantType == string(grantClientCredentials):
		// RFC 6749, section 4.4: confidential clients only.
		return exit.Misuse("--oidc-client-secret or --oidc-client-secret-file holds the secret", "--grant-type=client-credentials needs a client with a secret")
	case a.secretCommand != "":
		words, err := login.CommandWords(a.secretCommand)
		if err == nil && len(words) == 0 {
			err = errors.New("there is no command in it")
		}
		if err != nil {
			return exit.Misuse("", "reading --oidc-client-secret-command: %w", err)
		}
	}
	return nil
}

// applyClientAuth gives the client what it shows the provider.
func (f *getTokenFlags) applyClientAuth(c *login.Client, env Env) error {
	c.ClientSecret = secret.New(f.clientSecret)
	a := f.clientAuth
	switch {
	case a.secretFile != "":
		text, err := os.ReadFile(tokencache.ExpandHome(a.secretFile, env.Lookup))
		if err != nil {
			return exit.Misuse("", "reading --oidc-client-secret-file: %w", err)
		}
		if c.ClientSecret = firstLine(text); c.ClientSecret.IsZero() {
			return exit.Misuse("", "--oidc-client-secret-file=%s is empty", a.secretFile)
		}
	case a.secretCommand != "":
		c.ReadClientSecret = func(ctx context.Context) (secret.String, error) { return runForSecret(ctx, a.secretCommand, env) }
	case a.assertionKey != "":
		text, err := os.ReadFile(tokencache.ExpandHome(a.assertionKey, env.Lookup))
		if err == nil {
			c.AssertionKey, err = login.ReadAssertionKey(text)
		}
		if err != nil {
			return exit.Misuse("it is RSA or ECDSA, as PEM or JWK, without a passphrase", "reading --oidc-client-assertion-key: %w", err)
		}
	}
	return nil
}

// applyCertificate gives the connection what it shows the provider.
func (f *getTokenFlags) applyCertificate(trust *login.Trust, lookup func(string) string) error {
	switch {
	case f.renegotiateFree:
		trust.Renegotiation = tls.RenegotiateFreelyAsClient
	case f.renegotiateOnce:
		trust.Renegotiation = tls.RenegotiateOnceAsClient
	}
	if f.clientAuth.certificate == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(tokencache.ExpandHome(f.clientAuth.certificate, lookup), tokencache.ExpandHome(f.clientAuth.key, lookup))
	if err != nil {
		return exit.Misuse("", "reading --oidc-client-certificate and --oidc-client-key: %w", err)
	}
	trust.Certificate = &pair
	return nil
}

// secretPatience is how long a command may take to print a secret. It may ask
// a person to unlock something.
const secretPatience = time.Minute

// runForSecret runs a command, without a shell, and reads the first line that
// it prints. What it says otherwise is for the person.
func runForSecret(ctx context.Context, line string, env Env) (secret.String, error) {
	words, err := login.CommandWords(line)
	if err != nil {
		return secret.String{}, err
	}
	limit, cancel := context.WithTimeout(ctx, secretPatience)
	defer cancel()
	// #nosec G204: the command is the end user's own.
	command := exec.CommandContext(limit, words[0], words[1:]...)
	command.Stderr = env.Stderr
	command.WaitDelay = time.Second
	text, err := command.Output()
	switch {
	case ctx.Err() != nil:
		return secret.String{}, ctx.Err()
	case limit.Err() != nil:
		return secret.String{}, fmt.Errorf("--oidc-client-secret-command did not end within %s", secretPatience)
	case err != nil:
		return secret.String{}, fmt.Errorf("running --oidc-client-secret-command: %w", err)
	}
	read := firstLine(text)
	if read.IsZero() {
		return secret.String{}, errors.New("--oidc-client-secret-command printed nothing")
	}
	return read, nil
}

// firstLine is what stands before the first line end.
func firstLine(text []byte) secret.String {
	line, _, _ := strings.Cut(string(text), "\n")
	return secret.New(strings.TrimSuffix(line, "\r"))
}
