// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
)

// passwordPolicy is what passwords of local accounts must be like. Those of
// the configuration file are hashes, of which nothing is known.
type passwordPolicy struct {
	MinLength    *int     `yaml:"min_length"`
	Require      []string `yaml:"require"`
	History      int      `yaml:"history"`
	TemporaryFor duration `yaml:"temporary_for"`
	Lockout      struct {
		Failures *int     `yaml:"failures"` // 0 is off
		For      duration `yaml:"for"`
	} `yaml:"lockout"`
}

// policy is the policy of an issuer at the URL, with the defaults filled in.
func (p passwordPolicy) policy(at string) local.Policy {
	policy := local.Policy{
		MinLength: 12, History: p.History, TemporaryFor: 7 * 24 * time.Hour,
		Lockout: local.Lockout{Failures: 10, For: 15 * time.Minute},
	}
	if p.MinLength != nil {
		policy.MinLength = *p.MinLength
	}
	for _, class := range p.Require {
		policy.Require = append(policy.Require, identity.Rule(class))
	}
	if p.TemporaryFor != 0 {
		policy.TemporaryFor = time.Duration(p.TemporaryFor)
	}
	if p.Lockout.Failures != nil {
		policy.Lockout.Failures = *p.Lockout.Failures
	}
	if p.Lockout.For != 0 {
		policy.Lockout.For = time.Duration(p.Lockout.For)
	}
	if u, err := url.Parse(at); err == nil && u.Hostname() != "" {
		policy.Site = local.SiteNames(u.Hostname())
	}
	return policy
}

// refusalStep is more than a check of a password and a write take.
const refusalStep = 100 * time.Millisecond

// localSource is the source of the local accounts of an open issuer.
func (i *issuer) localSource(env Env, hasher *local.Hasher, trail *audit.Trail) *local.Source {
	at := string(i.url)
	if i.config.Issuer != "" {
		at = i.config.Issuer
	}
	return &local.Source{
		Accounts: i, Hasher: hasher, Policy: i.config.PasswordPolicy.policy(at), LinkKey: i.secret.Derive("account link"),
		RefusalStep: refusalStep, Audit: trail, Now: env.Now,
	}
}

// accounts is localSource for a command.
func (i *issuer) accounts(env Env, conf config) (*local.Source, error) {
	hasher, err := local.NewHasher(conf.cost())
	if err != nil {
		return nil, err
	}
	return i.localSource(env, hasher, nil), nil
}
