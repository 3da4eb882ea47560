// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/secret"
)

// oidcConfig is another OpenID Provider.
type oidcConfig struct {
	upstream.OIDCConfig `yaml:",inline"`
	UpstreamFiles       `yaml:",inline"`
	ClientKeyFile       string `yaml:"client_key_file"`
	ClientKeyID         string `yaml:"client_key_id"`
	LogOut              bool   `yaml:"log_out"` // whoever logs out here, logs out there too
}

// githubConfig is GitHub, or a GitHub Enterprise server.
type githubConfig struct {
	upstream.GitHubConfig `yaml:",inline"`
	UpstreamFiles         `yaml:",inline"`
}

// UpstreamFiles are where the secrets and the authorities of a provider are.
// (The YAML library inlines exported types alone.)
type UpstreamFiles struct {
	ClientSecretFile        string `yaml:"client_secret_file"`
	ClientSecretEnvironment string `yaml:"client_secret_environment"`
	CA                      string `yaml:"ca"`
}

func (f UpstreamFiles) check() error {
	if f.ClientSecretFile != "" && f.ClientSecretEnvironment != "" {
		return errors.New("give client_secret_file or client_secret_environment, not both")
	}
	return checkEnvironment("client_secret_environment", f.ClientSecretEnvironment)
}

// read returns what stands there.
func (f UpstreamFiles) read(env Env) (clientSecret secret.String, transport *tls.Config, err error) {
	if clientSecret, err = namedSecret(env, "client_secret", f.ClientSecretFile, f.ClientSecretEnvironment); err != nil {
		return secret.String{}, nil, err
	}
	authorities, err := certificatePool("ca", f.CA)
	return clientSecret, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}, err
}

func (c *oidcConfig) check(name string) error {
	if err := c.UpstreamFiles.check(); err != nil {
		return err
	}
	if c.ClientKeyID != "" && c.ClientKeyFile == "" {
		return errors.New("client_key_id names the key in client_key_file, which is missing")
	}
	if c.ClientKeyFile != "" && (c.ClientSecretFile != "" || c.ClientSecretEnvironment != "") {
		return errors.New("a client has a secret or a key, not both")
	}
	shape := c.OIDCConfig
	shape.Name = name
	return shape.Validate()
}

func (c *oidcConfig) open(env Env, name string) (*upstream.Source, error) {
	shape := c.OIDCConfig
	shape.Name, shape.Now = name, env.Now
	var err error
	if shape.ClientSecret, shape.TLS, err = c.read(env); err != nil {
		return nil, err
	}
	if c.ClientKeyFile != "" {
		text, err := namedSecret(env, "client_key", c.ClientKeyFile, "")
		if err != nil {
			return nil, err
		}
		if shape.ClientKey, err = upstream.ReadClientKey(text, c.ClientKeyID); err != nil {
			return nil, fmt.Errorf("client_key_file: %w", err)
		}
	}
	provider, err := upstream.NewOIDC(shape)
	if err != nil {
		return nil, err
	}
	return &upstream.Source{Provider: provider, LogsOut: c.LogOut}, nil
}

func (c *githubConfig) check(name string) error {
	if err := c.UpstreamFiles.check(); err != nil {
		return err
	}
	if c.ClientSecretFile == "" && c.ClientSecretEnvironment == "" {
		return errors.New("client_secret_file or client_secret_environment is missing; GitHub wants a secret")
	}
	shape := c.GitHubConfig
	shape.Name, shape.ClientSecret = name, secret.New("as it will be")
	return shape.Validate()
}

func (c *githubConfig) open(env Env, name string) (*upstream.Source, error) {
	shape := c.GitHubConfig
	shape.Name, shape.Now = name, env.Now
	var err error
	if shape.ClientSecret, shape.TLS, err = c.read(env); err != nil {
		return nil, err
	}
	provider, err := upstream.NewGitHub(shape)
	if err != nil {
		return nil, err
	}
	return &upstream.Source{Provider: provider}, nil
}
