// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/provider/authorize"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// site is the issuers of a server. What it serves can be replaced while it
// serves: requests that are under way end with what they began with.
type site struct {
	env       Env
	db        *database
	log       *slog.Logger
	clientCAs *x509.CertPool
	devCA     []byte // the local certificate authority, with --dev
	sinks     []func(audit.Event)

	// throttles outlive a reload: whoever guesses does not start anew.
	throttles map[string]*authorize.Throttle
	observe   func(identity.Asked) // counts questions to sources; nil: nobody does

	current atomic.Pointer[generation]
}

// generation is the issuers as one state of the configuration has them.
type generation struct {
	issuers []IssuerConfig
	hosted  []*hosted // the longest path first
	stop    context.CancelFunc
	tended  sync.WaitGroup
	closing []func() // of the sources
}

// hosted is one issuer that is being served.
type hosted struct {
	*provider.Provider
	opened     *issuer
	host, path string // of its URL; the path has no slash at the end
}

// load opens the issuers of the configuration and puts them in the place of
// those before. If it fails, nothing of what is served has changed. at is the
// issuer's URL where the configuration has none.
func (s *site) load(ctx context.Context, c config, at oidc.Issuer) error {
	// Step 1: all that can be refused without a row being written.
	declarations, err := c.declarations(s.env)
	if err != nil {
		return err
	}
	for _, one := range c.issuers() {
		if err := one.readSources(s.env); err != nil {
			return err
		}
	}
	issuers, err := s.db.issuers(ctx, c)
	if err != nil {
		return err
	}
	declarations = append(declarations, make([]store.Declaration, len(issuers)-len(declarations))...)
	hasher, err := local.NewHasher(c.cost())
	if err != nil {
		return err
	}

	// Step 2: each issuer.
	tending, stop := context.WithCancel(context.WithoutCancel(ctx))
	next := &generation{issuers: issuers, stop: stop}
	for i, one := range issuers {
		one.Issuer = cmp.Or(one.Issuer, string(at))
		found, err := s.host(ctx, tending, next, one, c, declarations[i], hasher)
		if err != nil {
			next.end()
			if len(issuers) > 1 {
				err = fmt.Errorf("issuer %s: %w", one.ID, err)
			}
			return err
		}
		next.hosted = append(next.hosted, found)
	}
	slices.SortStableFunc(next.hosted, func(a, b *hosted) int { return cmp.Compare(len(b.path), len(a.path)) })

	// Step 3: from here on they answer.
	if before := s.current.Swap(next); before != nil {
		before.end()
	}
	return nil
}

// host makes the provider of one issuer.
func (s *site) host(ctx, tending context.Context, in *generation, c IssuerConfig, whole config, declared store.Declaration, hasher *local.Hasher) (*hosted, error) {
	opened, err := s.db.issuer(ctx, s.env, c)
	if err != nil {
		return nil, err
	}
	// Without a file nothing is declared anew, and what was stays.
	if whole.path != "" && !c.atRunTime {
		err = opened.Declare(ctx, declared, s.env.Now())
	}
	if _, wrong := errors.AsType[*store.DeclarationError](err); wrong {
		return nil, exit.Misuse("", "%s: %w", cmp.Or(whole.path, "the configuration"), err)
	} else if err != nil {
		return nil, fmt.Errorf("declaring what the configuration has: %w", err)
	}
	address := oidc.Issuer(c.Issuer)
	if opened.url != "" && opened.url != address {
		s.log.Warn("the issuer's URL has changed; tokens and kubeconfigs that name the old one stop working", "old", opened.url, "new", address)
	}
	if opened.url != address {
		if err := opened.db.SetIssuerURL(ctx, c.ID, address); err != nil {
			return nil, fmt.Errorf("keeping the issuer's URL: %w", err)
		}
	}
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}

	// The keys change while they serve.
	keys, err := openKeys(ctx, opened)
	if err != nil {
		return nil, err
	}
	throttle, ok := s.throttles[c.ID]
	if !ok {
		throttle = authorize.NewThrottle(s.env.Now)
		s.throttles[c.ID] = throttle
	}
	trail := &audit.Trail{Issuer: address, Now: s.env.Now, Sinks: s.sinks}
	sources, err := s.sources(c, in, opened, opened.localSource(s.env, hasher, trail))
	if err != nil {
		return nil, err
	}
	clusters, issuerCA, err := s.clustersOf(ctx, c, opened)
	if err != nil {
		return nil, err
	}
	made, err := provider.New(provider.Config{
		ID:          c.ID,
		Issuer:      address,
		Storage:     opened,
		Source:      sources,
		Keys:        keys,
		Secret:      opened.secret,
		SigningAlg:  c.SigningAlg,
		GroupsClaim: c.GroupsClaim,
		Lifetimes:   c.providerLifetimes(),

		Clusters:          clusters,
		Authority:         issuerCA,
		SourceTitles:      sourceTitles(sources),
		Administration:    c.administration(opened, in, whole.Audit),
		SecondFactor:      c.SecondFactor.policy(),
		PasswordGrant:     c.PasswordGrant,
		ClientAuthorities: s.clientCAs,

		Throttle: throttle,
		Ready:    opened.db.Ping,
		Audit:    trail,
		Now:      s.env.Now,
		Log:      s.log,
	})
	if err != nil {
		return nil, err
	}
	in.tended.Go(func() { keys.Keep(tending, s.log) })
	return &hosted{made, opened, u.Host, strings.TrimSuffix(u.Path, "/")}, nil
}

// sources opens the sources of an issuer, which end with the generation.
func (s *site) sources(c IssuerConfig, in *generation, opened *issuer, accounts *local.Source) (*identity.Sources, error) {
	members, end, err := c.sources(s.env, accounts)
	if err != nil {
		return nil, err
	}
	in.closing = append(in.closing, end)
	for _, sentence := range c.sourceNotes() {
		s.log.Warn(sentence, "issuer", c.ID)
	}
	return &identity.Sources{
		Members: members, Memory: opened, Seal: opened.secret.Derive("what sources are asked with"), Now: s.env.Now, Log: s.log,
		Observe: s.observe,
	}, nil
}

// openKeys loads the signing keys, and makes those that are due.
func openKeys(ctx context.Context, opened *issuer) (*signingkey.KeySet, error) {
	keys, err := signingkey.Open(ctx, opened.keys)
	if errors.Is(err, seal.ErrNotOurs) {
		return nil, exit.WithHint(err, "a server with another key-encryption key made it; give both keys and run: tegata key reseal")
	}
	return keys, err
}

// end stops what a generation does by itself. Requests that are under way
// still get their answer.
func (g *generation) end() {
	g.stop()
	g.tended.Wait()
	for _, end := range g.closing {
		end()
	}
}

// close waits until ctx ends for the clients that are being told of a logout.
func (s *site) close(ctx context.Context) error {
	var problems []error
	for _, one := range s.current.Load().hosted {
		problems = append(problems, one.Close(ctx))
	}
	return errors.Join(problems...)
}

// sweep deletes expired rows.
func (s *site) sweep(ctx context.Context) {
	for _, one := range s.current.Load().hosted {
		if err := one.opened.Sweep(ctx, s.env.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("expired rows stay for now", "issuer", one.opened.config.ID, "error", err)
		}
	}
}

// wellKnown is where RFC 8414, section 3.1, has metadata: before the path.
const wellKnown = "/.well-known/oauth-authorization-server"

// ServeHTTP implements [http.Handler]: it finds the issuer by the host and
// the longest path that fit. A host that is nobody's is taken for all, as
// behind a proxy that changes it.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all := s.current.Load().hosted
	if len(all) == 1 {
		all[0].ServeHTTP(w, r)
		return
	}
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, wellKnown); ok {
		path = rest
	}
	ours := slices.ContainsFunc(all, func(h *hosted) bool { return h.host == r.Host })
	for _, one := range all {
		if ours && one.host != r.Host {
			continue
		}
		if rest, ok := strings.CutPrefix(path, one.path); ok && (rest == "" || rest[0] == '/') {
			one.ServeHTTP(w, r)
			return
		}
	}
	if path == "/healthz" || path == "/readyz" { // of all together: the storage is one
		all[0].ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// ready reports whether the storage answers, within the deadline of ctx.
func (s *site) ready(ctx context.Context) error { return s.db.Ping(ctx) }
