// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// authenticationConfigFile lies in a folder of its own, relative to the
	// control plane's directory: the API server watches it, and nothing else
	// happens there.
	authenticationConfigFile = "authentication/config.yaml"

	// reloadTimeout is a little more than what the API server gives itself for
	// reaching the issuers of a new AuthenticationConfiguration.
	reloadTimeout = 75 * time.Second

	// logInterval is the pause between two looks at the API server's log. Its
	// metrics are more than a megabyte, and each time it is asked for them it
	// opens a connection to etcd and logs that this failed; so first comes a look
	// at the log.
	logInterval = 100 * time.Millisecond
)

// refusedConfiguration is the AuthenticationConfiguration that was written last,
// if the API server refused it. It does not look at the same bytes again.
type refusedConfiguration struct {
	content []byte
	err     error
}

// SetAuthenticationConfiguration replaces the AuthenticationConfiguration and
// returns when it is in force: all its issuers have been reached. If the API
// server refuses it, the error has the API server's reason, and the
// configuration before it stays in force.
//
// A configuration with an issuer takes about ten seconds: the API server looks
// at its new authenticators once before they can be ready, and then every ten
// seconds. If an issuer cannot be reached, it gives up after a minute. Its
// "anonymous" part cannot be changed.
func (p *ControlPlane) SetAuthenticationConfiguration(ctx context.Context, config []byte) error {
	p.reload.Lock()
	defer p.reload.Unlock()
	if !p.structured {
		return errors.New("changing the AuthenticationConfiguration: there was none at the start; set Config.AuthenticationConfiguration")
	}
	if p.refused.err != nil && bytes.Equal(config, p.refused.content) {
		return p.refused.err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reloadTimeout, fmt.Errorf("not in force after %s", reloadTimeout))
	defer cancel()

	before := len(p.apiServer.log())
	if err := p.writeAuthenticationConfiguration(config); err != nil {
		return err
	}
	p.refused = refusedConfiguration{}
	var refused error
	first := true
	err := p.await(ctx, logInterval, func(ctx context.Context) bool {
		if reason, ok := refusalReason(p.apiServer.logFrom(before)); ok {
			refused = fmt.Errorf("the API server refuses the AuthenticationConfiguration: %s", reason)
			return true
		}
		// It may be the one in force already, and then there is nothing to log.
		if !first && !bytes.Contains(p.apiServer.logFrom(before), []byte("reloaded authentication config")) {
			return false
		}
		first = false
		return p.authenticationConfigurationIs(ctx, config)
	})
	if err != nil {
		return fmt.Errorf("changing the AuthenticationConfiguration: %w%s", err, issuerTrouble(p.apiServer.logFrom(before)))
	}
	if refused != nil {
		p.refused = refusedConfiguration{content: bytes.Clone(config), err: refused}
	}
	return refused
}

// writeAuthenticationConfiguration writes the file in one step, so that the API
// server never reads half of it.
func (p *ControlPlane) writeAuthenticationConfiguration(config []byte) error {
	file := p.path(authenticationConfigFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing the AuthenticationConfiguration: %w", err)
	}
	// Not in the watched folder.
	temp := p.path("authentication-config.new")
	if err := os.WriteFile(temp, config, 0o600); err != nil {
		return fmt.Errorf("writing the AuthenticationConfiguration: %w", err)
	}
	if err := os.Rename(temp, file); err != nil {
		return fmt.Errorf("writing the AuthenticationConfiguration: %w", err)
	}
	return nil
}

// authenticationConfigurationIs reports whether the API server says that a
// configuration is in force: it publishes the hash of the one that is.
func (p *ControlPlane) authenticationConfigurationIs(ctx context.Context, config []byte) bool {
	metrics, err := p.get(ctx, "/metrics")
	if err != nil {
		return false
	}
	return hasMetric(metrics, "apiserver_authentication_config_controller_last_config_info",
		fmt.Sprintf(`hash="sha256:%x"`, sha256.Sum256(config)))
}

// hasMetric reports whether there is a series with a name and all the labels,
// each written as name="value".
func hasMetric(metrics []byte, name string, labels ...string) bool {
series:
	for line := range bytes.Lines(metrics) {
		rest, ok := bytes.CutPrefix(line, []byte(name+"{"))
		if !ok {
			continue
		}
		set, _, _ := bytes.Cut(rest, []byte("}"))
		for _, label := range labels {
			if !bytes.Contains(append([]byte(","), set...), []byte(","+label)) {
				continue series
			}
		}
		return true
	}
	return false
}

// refusalReason finds, in a piece of the API server's log, why it did not take an
// AuthenticationConfiguration. The log has the error as err="…" or, when it has
// several lines, as err=< followed by indented lines and ">".
func refusalReason(log []byte) (reason string, ok bool) {
	match := regexp.MustCompile(`(?m)^E.*\] "failed to (?:read|load|validate|update) authentication config(?: file)?" err=`).FindIndex(log)
	if match == nil {
		return "", false
	}
	rest := string(log[match[1]:])
	if block, isBlock := strings.CutPrefix(rest, "<\n"); isBlock {
		block, _, complete := strings.Cut(block, "\n >")
		return strings.ReplaceAll(strings.TrimPrefix(block, "\t"), "\n\t", "\n"), complete
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", false // the rest of the line is still to come
	}
	reason, err = strconv.Unquote(quoted)
	return reason, err == nil
}

// WaitIssuer returns when the API server can verify tokens of an issuer: it has
// read the issuer's metadata and its key set. The API server does that in the
// background, and when it fails, again after ten seconds; so an issuer that
// serves before the API server starts is ready at once. The error at the end of
// ctx has what the API server last logged about it.
//
// It works by sending a token that says it comes from the issuer and has a
// signature that nobody made: the API server refuses it, but only after it has
// fetched the key set.
func (p *ControlPlane) WaitIssuer(ctx context.Context, issuer string) error {
	token, err := forgedToken(issuer)
	if err != nil {
		return fmt.Errorf("waiting for issuer %s: %w", issuer, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	issuerHash := fmt.Sprintf(`jwt_issuer_hash="sha256:%x"`, sha256.Sum256([]byte(issuer)))
	client := p.client()
	defer client.CloseIdleConnections()

	known := true // until an answer says otherwise
	err = p.await(ctx, 2*logInterval, func(ctx context.Context) bool {
		before := len(p.apiServer.log())
		if err := present(ctx, client, p.url+"/version", token); err != nil {
			return false
		}
		logged := p.apiServer.logFrom(before)
		known = knowsIssuer(logged)
		if bytes.Contains(logged, []byte("authenticator not initialized")) {
			return false
		}
		metrics, err := p.get(ctx, "/metrics")
		return err == nil && hasMetric(metrics,
			"apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds", `result="success"`, issuerHash)
	})
	if err != nil {
		if !known {
			return fmt.Errorf("waiting for issuer %s: %w; the API server does not know it, is it configured with exactly this URL?", issuer, err)
		}
		return fmt.Errorf("waiting for issuer %s: %w%s", issuer, err, issuerTrouble(p.apiServer.log()))
	}
	return nil
}

// forgedToken is a JSON web token with a random signature.
func forgedToken(issuer string) (string, error) {
	claims, err := json.Marshal(map[string]string{"iss": issuer})
	if err != nil {
		return "", err
	}
	signature := make([]byte, 256)
	rand.Read(signature)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(claims) + "." + encode(signature), nil
}

// present sends a request with a bearer token and does not mind the answer.
func present(ctx context.Context, client *http.Client, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// knowsIssuer reports whether the API server, of whose log this is a piece, has
// tried to verify a token that it refused. It says nothing more about the token
// of an issuer that it does not know than that the token is invalid.
func knowsIssuer(log []byte) bool {
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte("Unable to authenticate the request")) && bytes.Contains(line, []byte("oidc:")) {
			return true
		}
	}
	return false
}

// issuerTrouble is the last line about an issuer in a piece of the API server's
// log, as a continuation of an error.
func issuerTrouble(log []byte) string {
	var last string
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, "E") && strings.Contains(line, "oidc") &&
			!strings.Contains(line, "authenticator not initialized") {
			last = "; the API server says: " + strings.TrimSpace(line)
		}
	}
	return last
}
