// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// Step is one question to the directory, and what came back.
type Step struct {
	What       string        `json:"what"`
	Server     string        `json:"server,omitempty"` // empty: none answered
	BaseDN     string        `json:"base_dn,omitempty"`
	Scope      string        `json:"scope,omitempty"`
	Filter     string        `json:"filter,omitempty"`
	Attributes []string      `json:"attributes,omitempty"`
	Found      []string      `json:"found,omitempty"` // distinguished names, the first of them
	Count      int           `json:"count"`
	Took       time.Duration `json:"took_ns"`
	Error      string        `json:"error,omitempty"`
}

// maxShown is how many of the entries found a step names.
const maxShown = 20

type explainKey struct{}

func explain(ctx context.Context, step Step) {
	if record, ok := ctx.Value(explainKey{}).(func(Step)); ok {
		record(step)
	}
}

func searchStep(what, host string, request *ldap.SearchRequest, result *ldap.SearchResult, took time.Duration, err error) Step {
	step := Step{
		What: what, Server: host, BaseDN: request.BaseDN, Scope: ldap.ScopeMap[request.Scope], Filter: request.Filter,
		Attributes: request.Attributes, Took: took,
	}
	if err != nil {
		step.Error = err.Error()
	}
	if result != nil {
		step.Count = len(result.Entries)
		for _, entry := range result.Entries[:min(maxShown, len(result.Entries))] {
			step.Found = append(step.Found, entry.DN)
		}
	}
	return step
}

// Explain finds the user whom somebody means by what they typed, without a
// password, and tells each question on the way, also when it fails.
func (s *Source) Explain(ctx context.Context, login string) (identity.User, []Step, error) {
	var steps []Step
	ctx = context.WithValue(ctx, explainKey{}, func(step Step) { steps = append(steps, step) })
	ctx, cancel := context.WithTimeout(ctx, s.config.deadline())
	defer cancel()
	entry, err := s.find(ctx, s.loginFilter(login))
	if err != nil {
		return identity.User{}, steps, err
	}
	user, err := s.user(ctx, entry)
	return user, steps, err
}

// ExplainLogin is Explain with a password, which is tried as a login tries it.
func (s *Source) ExplainLogin(ctx context.Context, login string, password secret.String) (identity.User, []Step, error) {
	var steps []Step
	user, err := s.Authenticate(context.WithValue(ctx, explainKey{}, func(step Step) { steps = append(steps, step) }), login, password)
	return user, steps, err
}
