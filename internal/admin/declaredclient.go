// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// declaredClient is a client of the configuration file.
type declaredClient struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`

	Public         bool   `yaml:"public"`
	Authentication string `yaml:"authentication"`
	SecretFile     string `yaml:"secret_file"`
	SecretEnv      string `yaml:"secret_environment"`
	SecretHash     string `yaml:"secret_hash"`
	JWKSFile       string `yaml:"jwks_file"`
	TLSSubject     string `yaml:"tls_subject"`

	RedirectURIs           []string `yaml:"redirect_uris"`
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris"`
	BackChannelLogoutURI   string   `yaml:"backchannel_logout_uri"`
	Origins                []string `yaml:"origins"`

	Grants    []string `yaml:"grants"`
	Scopes    []string `yaml:"scopes"`
	Audiences []string `yaml:"audiences"`
	Sources   []string `yaml:"sources"`
	Consent   string   `yaml:"consent"`

	SecondFactor bool `yaml:"second_factor"`

	GroupsClaim    string          `yaml:"groups_claim"`
	GroupsFilter   string          `yaml:"groups_filter"`
	GroupsPrefix   string          `yaml:"groups_prefix"`
	Claims         []declaredClaim `yaml:"claims"`
	SigningAlg     string          `yaml:"signing_alg"`
	AccessTokenAlg string          `yaml:"access_token_alg"`
	Lifetimes      clientLifetimes `yaml:"lifetimes"`
}

// declaredClaim is a further claim: its name, and one of the rest.
type declaredClaim struct {
	Name       string `yaml:"name"`
	Value      any    `yaml:"value"`
	Attribute  string `yaml:"attribute"`
	Expression string `yaml:"expression"`
}

type clientLifetimes struct {
	IDToken         duration `yaml:"id_token"`
	AccessToken     duration `yaml:"access_token"`
	RefreshIdle     duration `yaml:"refresh_idle"`
	RefreshAbsolute duration `yaml:"refresh_absolute"`
}

// client is what the file says, without its secret and its keys.
func (d declaredClient) client() (clientregistry.Client, error) {
	c := clientregistry.Client{
		ID: oidc.ClientID(d.ID), Name: d.Name, Declared: true,
		Authentication: clientregistry.Method(d.Authentication), TLSSubject: d.TLSSubject,
		RedirectURIs: d.RedirectURIs, PostLogoutRedirectURIs: d.PostLogoutRedirectURIs,
		BackChannelLogoutURI: d.BackChannelLogoutURI, Origins: d.Origins,
		Scopes: d.Scopes, Audiences: d.Audiences, Sources: d.Sources, Consent: d.Consent, SecondFactor: d.SecondFactor,
		GroupsClaim: d.GroupsClaim, GroupsFilter: d.GroupsFilter, GroupsPrefix: d.GroupsPrefix,
		SigningAlg: d.SigningAlg, AccessTokenAlg: d.AccessTokenAlg,
		Lifetimes: clientregistry.Lifetimes{
			IDToken: time.Duration(d.Lifetimes.IDToken), AccessToken: time.Duration(d.Lifetimes.AccessToken),
			RefreshIdle: time.Duration(d.Lifetimes.RefreshIdle), RefreshAbsolute: time.Duration(d.Lifetimes.RefreshAbsolute),
		},
	}
	for _, name := range d.Grants {
		c.Grants = append(c.Grants, clientregistry.GrantType(name))
	}
	for n, claim := range d.Claims {
		if _, twice := c.Claims[claim.Name]; twice {
			return c, fmt.Errorf("claims[%d]: claim %q is given twice", n, claim.Name)
		}
		made := clientregistry.Claim{Attribute: claim.Attribute, Expression: claim.Expression}
		if claim.Value != nil {
			value, err := json.Marshal(claim.Value)
			if err != nil {
				return c, fmt.Errorf("claims[%d]: the value is nothing that JSON has", n)
			}
			made.Value = value
		}
		if c.Claims == nil {
			c.Claims = map[string]clientregistry.Claim{}
		}
		c.Claims[claim.Name] = made
	}
	return c, nil
}

// pending stands for a secret while the rest of a client is checked.
const pending = "pending"

// check finds what is wrong without looking at anything but the file.
func (d declaredClient) check() error {
	client, err := d.client()
	if err != nil {
		return err
	}
	secrets := 0
	for _, given := range []string{d.SecretFile, d.SecretEnv, d.SecretHash} {
		if given != "" {
			secrets++
		}
	}
	method := client.Authentication
	switch {
	case d.Public && method != "" && method != clientregistry.None:
		return fmt.Errorf("a public client does not authenticate with %s; leave out public or authentication", method)
	case d.Public && secrets > 0:
		return errors.New("a public client has no secret")
	case secrets > 1 || secrets == 0 && !d.Public && (method == "" || method.NeedsSecret()):
		return errors.New("give one of secret_file, secret_environment and secret_hash, or public: true")
	case d.SecretHash != "" && !validSecretHash(d.SecretHash):
		return errors.New("secret_hash is not sha256: and 64 hexadecimal digits")
	}
	if err := checkEnvironment("secret_environment", d.SecretEnv); err != nil {
		return err
	}
	if secrets > 0 {
		client.SecretHash = pending
	}
	if d.JWKSFile != "" {
		return nil // the rest when it is read
	}
	return checkClient(client)
}

// checkClient tells why a client cannot be registered, or returns nil.
func checkClient(c clientregistry.Client) error {
	for _, alg := range []string{c.SigningAlg, c.AccessTokenAlg} {
		if alg != "" {
			if err := signingkey.CheckAlgorithm(alg); err != nil {
				return err
			}
		}
	}
	return c.Validate()
}

// read is the client with its secret and its keys.
func (d declaredClient) read(env Env) (clientregistry.Client, error) {
	client, err := d.client()
	if err != nil {
		return client, err
	}
	if client.SecretHash, err = d.secretHash(env); err != nil {
		return client, err
	}
	if d.JWKSFile != "" {
		if client.JWKS, err = readKeySet(d.JWKSFile); err != nil {
			return client, err
		}
	}
	return client, checkClient(client)
}

func readKeySet(path string) (json.RawMessage, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the public keys: %w", err)
	}
	keys, err := clientregistry.ReadKeySet(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func (d declaredClient) secretHash(env Env) (string, error) {
	var value secret.String
	switch {
	case d.SecretHash != "":
		return d.SecretHash, nil
	case d.SecretFile != "":
		text, err := os.ReadFile(d.SecretFile)
		if err != nil {
			return "", fmt.Errorf("reading the secret: %w", err)
		}
		value = secret.New(strings.TrimRight(string(text), "\r\n"))
	case d.SecretEnv != "":
		text := env.getenv(d.SecretEnv)
		if text == "" {
			return "", fmt.Errorf("the environment variable %s, which holds the secret, is not set", d.SecretEnv)
		}
		value = secret.New(text)
	default:
		return "", nil
	}
	if err := clientregistry.CheckSecret(value); err != nil {
		return "", err
	}
	return clientregistry.HashSecret(value), nil
}

// declaredClients reads all clients of the file. What they may point to in it
// is checked here: nothing else knows all of them. certificates says whether
// the server asks for those of clients.
func (c IssuerConfig) declaredClients(env Env, certificates bool) ([]clientregistry.Client, error) {
	var clients []clientregistry.Client
	for _, declared := range c.Clients {
		client, err := declared.read(env)
		if err != nil {
			return nil, exit.Misuse("", "client %q: %w", declared.ID, err)
		}
		if !c.PasswordGrant && client.AllowsGrant(oidc.GrantPassword) {
			return nil, exit.Misuse("add password_grant: true to the file, or take the grant from the client",
				"client %q: the grant password is off for the issuer", declared.ID)
		}
		if !certificates && slices.ContainsFunc(client.AcceptedMethods(), isCertificate) {
			return nil, exit.Misuse("name the authorities that vouch for certificates of clients: tls: {client_ca: FILE}",
				"client %q: the server asks for no certificates, so the client cannot authenticate with %s", declared.ID, client.Authentication)
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func isCertificate(m clientregistry.Method) bool {
	return m == clientregistry.TLS || m == clientregistry.SelfSignedTLS
}
