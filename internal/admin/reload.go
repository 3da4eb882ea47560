// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"
)

// watchInterval is how often the files are looked at. Looking costs less than
// being told, works on every file system, and sees a directory that was
// exchanged as a whole, as Kubernetes does with its volumes.
const watchInterval = 2 * time.Second

// tend does what comes up while the server serves, until ctx ends (nil) or
// the server does (its error): expired rows are swept, and a configuration or
// a certificate that has changed is taken over, at SIGHUP or by itself.
func (s *server) tend(ctx context.Context, served <-chan error) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	sweep, watch := time.NewTicker(sweepInterval), time.NewTicker(watchInterval)
	defer sweep.Stop()
	defer watch.Stop()
	s.site.sweep(ctx)
	seen := s.files()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serving: %w", err)
		case <-sweep.C:
			s.site.sweep(ctx)
		case <-hangup:
			s.trail.reopen()
			seen = s.files()
			s.reload(ctx)
		case <-watch.C:
			// A file that is being written is read when it has rested.
			if now := s.files(); now != seen {
				seen = now
			} else if now != s.loaded {
				s.reload(ctx)
			} else {
				s.follow(ctx)
			}
		}
	}
}

// follow takes over the issuers that were made or deleted at run time.
func (s *server) follow(ctx context.Context) {
	now, err := s.site.db.issuers(ctx, s.config)
	before := s.site.current.Load().issuers
	if err == nil && !reflect.DeepEqual(now, before) {
		if err = s.site.load(ctx, s.config, s.devIssuer(s.address)); err == nil {
			s.log.Info("the issuers have changed", "before", len(before), "now", len(now))
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the issuers in the database were not taken over", "error", err)
	}
}

// files is a sum of what the configuration, the certificate and the files of
// sources are now; a file that cannot be read counts as empty.
func (s *server) files() [sha256.Size]byte {
	sum := sha256.New()
	watched := []string{s.config.path, s.config.TLS.Certificate, s.config.TLS.Key}
	for _, issuer := range s.config.issuers() {
		for i := range issuer.Sources {
			for _, path := range issuer.Sources[i].files() {
				watched = append(watched, *path)
			}
		}
	}
	for _, path := range s.config.clusterFiles() {
		watched = append(watched, *path)
	}
	for _, path := range watched {
		if path == "" {
			continue
		}
		text, _ := os.ReadFile(path)
		part := sha256.Sum256(text)
		sum.Write(part[:])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// reload takes over the files as they are now, or says what is wrong with
// them and goes on with what it has.
func (s *server) reload(ctx context.Context) {
	s.loaded = s.files()
	fresh, err := s.where.config(s.env)
	if err == nil {
		s.flags(&fresh)
		err = s.replace(ctx, fresh)
	}
	if err != nil {
		s.log.Error("the configuration was not taken over; what was served before is still served", "error", err)
		return
	}
	s.log.Info("the configuration was taken over")
}

// errRestart means that a change needs another process.
var errRestart = errors.New("it takes effect at the next start")

func (s *server) replace(ctx context.Context, fresh config) error {
	old := s.config
	for key, pair := range map[string][2]any{
		"listen": {old.Listen, fresh.Listen}, "data_dir": {old.DataDir, fresh.DataDir}, "storage": {old.Storage, fresh.Storage},
		"key_encryption_key": {old.KeyEncryptionKey, fresh.KeyEncryptionKey}, "trusted_proxies": {old.TrustedProxies, fresh.TrustedProxies},
		"tls.client_ca": {old.TLS.ClientCA, fresh.TLS.ClientCA}, "tls.by_proxy": {old.TLS.ByProxy, fresh.TLS.ByProxy},
		"log": {old.Log, fresh.Log}, "audit": {old.Audit, fresh.Audit}, "metrics": {old.Metrics, fresh.Metrics}, "tracing": {old.Tracing, fresh.Tracing},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			return fmt.Errorf("%s has changed: %w", key, errRestart)
		}
	}
	if err := s.check(fresh, s.address.String()); err != nil {
		return err
	}
	before := s.pair.Load()
	if err := s.loadCertificate(fresh); err != nil {
		return err
	}
	if err := s.site.load(ctx, fresh, s.devIssuer(s.address)); err != nil {
		s.pair.Store(before)
		return err
	}
	s.config = fresh
	return nil
}

// flags puts what the command line says over what the file says.
func (s *server) flags(c *config) {
	if s.listen != "" {
		c.Listen = s.listen
	}
	if s.logLevel != "" {
		c.Log.Level = s.logLevel
	}
}
