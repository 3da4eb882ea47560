// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

func newServe(env Env) *cobra.Command {
	var where place
	var s server
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the OpenID Provider",
		Long: `Run the OpenID Provider until it is interrupted.

With --dev it is a whole provider on this machine alone: the issuer is
https://localhost:PORT, and its certificate comes from a local certificate
authority in the data directory, made on first use.`,
		Example: `  tegata serve --dev --data-dir ./tegata-data
  tegata serve --config /etc/tegata/tegata.yaml`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := where.config(env)
			if err != nil {
				return err
			}
			if s.listen != "" {
				conf.Listen = s.listen
			}
			if s.logLevel != "" {
				conf.Log.Level = s.logLevel
			}
			s.env, s.config = env, conf
			return s.run(c.Context())
		},
	}
	c.Flags().BoolVar(&s.dev, "dev", false, "serve on a loopback address with a local certificate authority")
	c.Flags().StringVar(&s.listen, "listen", "", "`HOST:PORT` to listen on (127.0.0.1:8443 with --dev, else :443)")
	c.Flags().StringVar(&s.logLevel, "log-level", "", "least `LEVEL` that is logged: debug, info, warn or error (info)")
	where.flags(c)
	return c
}

// server is one run of tegata serve.
type server struct {
	dev      bool
	listen   string
	logLevel string

	env    Env
	config config
}

// The time limits of a connection, against clients that hold it for nothing.
const (
	headerTimeout   = 10 * time.Second
	requestTimeout  = 30 * time.Second
	answerTimeout   = time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 32 << 10
	sweepInterval   = time.Hour
)

func (s *server) run(ctx context.Context) (err error) {
	// Step 1: everything that can be refused before a port is opened.
	log, err := s.config.Log.logger(s.env.Stderr)
	if err != nil {
		return exit.Misuse("", "log: %w", err)
	}
	address := cmp.Or(s.config.Listen, ":443")
	if s.dev {
		address = cmp.Or(s.config.Listen, "127.0.0.1:8443")
	}
	if err := s.check(address); err != nil {
		return err
	}
	declaration, err := s.config.declaration(s.env)
	if err != nil {
		return err
	}

	// Step 2: the storage, the certificate and the port, which with --dev
	// decides the issuer. What is refused up to here has changed no row.
	opened, err := s.config.open(ctx, s.env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.db.Close()) }()
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return exit.WithHint(fmt.Errorf("listening on %s: %w", address, innermost(err)), "choose another address with --listen")
	}
	defer listener.Close()

	// Step 3: what the file declares.
	// Without a file nothing is declared anew, and what was stays.
	if s.config.path != "" {
		err = opened.Declare(ctx, declaration, s.env.Now())
	}
	if _, wrong := errors.AsType[*store.DeclarationError](err); wrong {
		return exit.Misuse("", "%s: %w", cmp.Or(s.config.path, "the configuration"), err)
	} else if err != nil {
		return fmt.Errorf("declaring what the configuration has: %w", err)
	}
	url := s.issuerURL(listener.Addr())
	if opened.url != "" && opened.url != url {
		log.Warn("the issuer's URL has changed; tokens and kubeconfigs that name the old one stop working", "old", opened.url, "new", url)
	}
	if opened.url != url {
		if err := opened.db.SetIssuerURL(ctx, issuerID, url); err != nil {
			return fmt.Errorf("keeping the issuer's URL: %w", err)
		}
	}

	// Step 4: the provider.
	handler, err := s.provider(ctx, opened, url, log)
	if err != nil {
		return err
	}
	fresh := newConnections{known: map[net.Conn]bool{}}
	// HTTP/1.1 alone: half the processor time for answers this small, a stop
	// that need not wait for HTTP/2 to say goodbye, and less to attack.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	web := &http.Server{
		Protocols:         protocols,
		Handler:           handler,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         fresh.note,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if s.env.getenv("GOGC") == "" {
		// The live heap is a few MiB, so the default would collect after
		// every few MiB more. Some 10 MiB of memory buy a tenth of the CPU.
		debug.SetGCPercent(400)
	}
	served := make(chan error, 1)
	go func() { served <- web.ServeTLS(listener, "", "") }()
	s.announce(url)
	log.Info("serving", "issuer", url, "listen", listener.Addr().String())

	// Step 5: until a signal comes or the listener breaks.
	err = s.sweepUntil(ctx, opened, log, served)
	if err != nil {
		return err
	}
	log.Info("stopping: waiting for requests that are under way")
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	web.RegisterOnShutdown(fresh.close) // after the listener is closed
	if err := web.Shutdown(closing); err != nil {
		log.Warn("some requests did not end in time", "error", err)
		return web.Close()
	}
	return nil
}

// check refuses what would be served wrongly.
func (s *server) check(address string) error {
	if err := checkListen(address); err != nil {
		return exit.Misuse("", "--listen: %w", err)
	}
	if !s.dev {
		switch {
		case s.config.Issuer == "":
			return exit.Misuse("write issuer: https://… into the file that --config names, or try it on this machine with --dev", "there is no issuer to serve")
		case s.config.TLS.Certificate == "":
			return exit.Misuse("set tls.certificate and tls.key, or try it on this machine with --dev", "there is no certificate to serve with")
		}
		return nil
	}
	host, _, _ := net.SplitHostPort(address)
	if !oidc.LoopbackHost(host) {
		return exit.Misuse("use --listen 127.0.0.1:8443, or a configuration file with a certificate of your own", "--dev serves loopback addresses only, not %s", address)
	}
	if s.config.TLS.Certificate != "" {
		return exit.Misuse("leave out one of them", "--dev makes its own certificate, and the configuration names another")
	}
	if u, err := url.Parse(s.config.Issuer); s.config.Issuer != "" && (err != nil || !oidc.LoopbackHost(u.Hostname())) {
		return exit.Misuse("leave out --dev", "--dev serves issuers on localhost only, not %s", s.config.Issuer)
	}
	return nil
}

// innermost is the cause at the end of a chain: the address that the network
// package repeats is said already.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// issuerURL is the configured issuer, or with --dev localhost and the port.
func (s *server) issuerURL(listening net.Addr) oidc.Issuer {
	if s.config.Issuer != "" {
		return oidc.Issuer(s.config.Issuer)
	}
	port := 0
	if tcp, ok := listening.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return oidc.Issuer("https://localhost:" + strconv.Itoa(port))
}

func (s *server) certificate() (tls.Certificate, error) {
	if s.dev {
		return devCertificate(s.config.DataDir, s.env.Now())
	}
	return s.config.TLS.load()
}

func (t tlsConfig) load() (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return tls.Certificate{}, exit.Misuse("", "reading the certificate: %w", err)
	}
	return pair, nil
}

func (s *server) provider(ctx context.Context, opened *issuer, url oidc.Issuer, log *slog.Logger) (http.Handler, error) {
	keys, err := signingkey.Open(ctx, opened, opened.kek, s.env.Now)
	if err != nil {
		return nil, err
	}
	hasher, err := local.NewHasher(s.config.cost())
	if err != nil {
		return nil, err
	}
	return provider.New(provider.Config{
		ID:          issuerID,
		Issuer:      url,
		Storage:     opened,
		Source:      &local.Source{Accounts: opened, Hasher: hasher},
		Keys:        keys,
		Secret:      opened.secret,
		SigningAlg:  s.config.SigningAlg,
		GroupsClaim: s.config.GroupsClaim,
		Lifetimes:   s.config.providerLifetimes(),
		Ready:       opened.db.Ping,
		Now:         s.env.Now,
		Log:         log,
	})
}

// sweepUntil deletes expired rows now and then, until ctx ends (nil) or the
// server does (its error).
func (s *server) sweepUntil(ctx context.Context, opened *issuer, log *slog.Logger, served <-chan error) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := opened.Sweep(ctx, s.env.Now()); err != nil && ctx.Err() == nil {
			log.Warn("expired rows stay for now", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serving: %w", err)
		case <-ticker.C:
		}
	}
}

// announce tells a person what to type next.
func (s *server) announce(url oidc.Issuer) {
	dir, err := filepath.Abs(s.config.DataDir)
	if err != nil {
		dir = s.config.DataDir
	}
	fmt.Fprintf(s.env.Stdout, "issuer: %s\n", url)
	if !s.dev {
		return
	}
	ca := filepath.Join(dir, devCACertificate)
	fmt.Fprintf(s.env.Stdout, `certificate authority: %[2]s
data: %[3]s

Next, in another terminal:

  export TEGATA_DATA_DIR=%[4]s
  tegata group add platform-engineer
  tegata user add alice --email alice@example.com --group platform-engineer
  tegata client add kubernetes --public --redirect-uri http://localhost:8000

  kubectl create clusterrolebinding cluster-admin-platform-engineer \
    --clusterrole=cluster-admin --group=oidc:platform-engineer
  kubectl config set-credentials tegata \
    --exec-api-version=client.authentication.k8s.io/v1 \
    --exec-interactive-mode=IfAvailable \
    --exec-command=kubectl-oidc_login \
    --exec-arg=get-token \
    --exec-arg=--oidc-issuer-url=%[1]s \
    --exec-arg=--oidc-client-id=kubernetes \
    --exec-arg=--certificate-authority=%[5]s
  kubectl config set-context --current --user=tegata
  kubectl auth whoami

The API server needs --oidc-issuer-url=%[1]s --oidc-client-id=kubernetes
--oidc-ca-file=%[5]s --oidc-username-claim=email
--oidc-username-prefix=oidc: --oidc-groups-claim=%[6]s --oidc-groups-prefix=oidc:

Stop with Ctrl-C.
`, url, ca, dir, exit.Quote(dir), exit.Quote(ca), cmp.Or(s.config.GroupsClaim, "groups"))
}

// newConnections knows the connections on which nothing was asked yet.
// Browsers open them in advance, and [http.Server.Shutdown] would wait for
// each of them for five seconds.
type newConnections struct {
	mu    sync.Mutex // guards the field below
	known map[net.Conn]bool
}

func (n *newConnections) note(conn net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state == http.StateNew {
		n.known[conn] = true
	} else {
		delete(n.known, conn)
	}
}

func (n *newConnections) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.known {
		conn.Close()
	}
}
