// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
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
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/metrics"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/authorize"
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
			s.flags(&conf)
			s.env, s.where, s.config = env, where, conf
			return s.run(c.Context())
		},
	}
	c.Flags().BoolVar(&s.dev, "dev", false, "serve on a loopback address with a local certificate authority")
	c.Flags().StringVar(&s.listen, "listen", "", "`HOST:PORT` to listen on (127.0.0.1:8443 with --dev, else :443)")
	c.Flags().StringVar(&s.logLevel, "log-level", "", "least `LEVEL` that is logged: debug, info, warn or error (info)")
	where.files(c)
	return c
}

// server is one run of tegata serve.
type server struct {
	dev      bool
	listen   string
	logLevel string

	env     Env
	where   place
	config  config            // as it is served
	loaded  [sha256.Size]byte // of the files that were looked at last
	address net.Addr          // that it listens on
	log     *slog.Logger
	site    *site
	pair    atomic.Pointer[tls.Certificate]
	trail   *auditFile
	counts  *metrics.Metrics // nil: nobody counts
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
	if s.log, err = s.config.Log.logger(s.env.Stderr); err != nil {
		return exit.Misuse("", "log: %w", err)
	}
	address := cmp.Or(s.config.Listen, ":443")
	if s.dev {
		address = cmp.Or(s.config.Listen, "127.0.0.1:8443")
	}
	if err := s.check(s.config, address); err != nil {
		return err
	}
	if _, err := s.config.declarations(s.env); err != nil {
		return err
	}
	for _, issuer := range s.config.issuers() {
		if err := issuer.readSources(s.env); err != nil {
			return err
		}
	}

	// Step 2: the storage, the certificate and the port, which with --dev
	// decides the issuer. What is refused up to here has changed no row.
	db, err := s.config.openDatabase(ctx, s.env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := s.loadCertificate(s.config); err != nil {
		return err
	}
	clients, err := s.config.TLS.clientAuthorities()
	if err != nil {
		return err
	}
	tracer, err := s.config.Tracing.start(ctx, s.env)
	if err != nil {
		return err
	}
	defer tracer.stop()
	if s.trail, err = s.config.Audit.open(s.env, s.log); err != nil {
		return err
	}
	defer s.trail.close()
	listener, err := listen(ctx, address, "choose another address with --listen")
	if err != nil {
		return err
	}
	defer listener.Close()

	// Step 3: the issuers, with what the file declares.
	devCA, err := s.devAuthority()
	if err != nil {
		return err
	}
	s.site = &site{
		env: s.env, db: db, log: s.log, clientCAs: clients.trusted, devCA: devCA, throttles: map[string]*authorize.Throttle{},
		sinks: s.trail.sinks(),
	}
	stopMetrics, err := s.serveMetrics(ctx)
	if err != nil {
		return err
	}
	defer stopMetrics()
	s.address, s.loaded = listener.Addr(), s.files()
	if err := s.site.load(ctx, s.config, s.devIssuer(listener.Addr())); err != nil {
		return err
	}
	defer func() { s.site.current.Load().end() }() // before the database is closed
	if db.kek.Len() > 1 {
		s.log.Info("there are older key-encryption keys: tegata key reseal makes them unnecessary", "in", s.config.keyPlace())
	}

	// Step 4: the server.
	trusted, err := parseProxies(s.config.TrustedProxies)
	if err != nil {
		return err // loadConfig has looked
	}
	handler := trusted.handler(tracer.handler(s.counted(s.site)))
	fresh := newConnections{known: map[net.Conn]bool{}}
	// HTTP/1.1 alone: half the processor time for answers this small, a stop
	// that need not wait for HTTP/2 to say goodbye, and less to attack.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.Load(), nil },
	}
	clients.ask(transport)
	web := &http.Server{
		Protocols:         protocols,
		Handler:           handler,
		TLSConfig:         transport,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         fresh.note,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.env.getenv("GOGC") == "" {
		// The live heap is a few MiB, so the default would collect after
		// every few MiB more. Some 10 MiB of memory buy a tenth of the CPU.
		debug.SetGCPercent(400)
	}
	served := make(chan error, 1)
	go func() {
		if s.config.TLS.ByProxy {
			served <- web.Serve(listener)
		} else {
			served <- web.ServeTLS(listener, "", "")
		}
	}()
	for _, one := range s.site.current.Load().hosted {
		s.announce(one.opened.config)
		s.log.Info("serving", "issuer", one.opened.config.Issuer, "listen", s.address.String())
	}

	// Step 5: until a signal comes or the listener breaks.
	if err := s.tend(ctx, served); err != nil {
		return err
	}
	s.log.Info("stopping: waiting for requests that are under way")
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	web.RegisterOnShutdown(fresh.close) // after the listener is closed
	if err := web.Shutdown(closing); err != nil {
		s.log.Warn("some requests did not end in time", "error", err)
		return web.Close()
	}
	if err := s.site.close(closing); err != nil {
		s.log.Warn("some clients were not told of a logout", "error", err)
	}
	return nil
}

// listen opens a port.
func listen(ctx context.Context, address, hint string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, exit.WithHint(fmt.Errorf("listening on %s: %w", address, innermost(err)), hint)
	}
	return listener, nil
}

// check refuses what would be served wrongly.
func (s *server) check(c config, address string) error {
	if err := checkListen(address); err != nil {
		return exit.Misuse("", "--listen: %w", err)
	}
	first := c.issuers()[0]
	if !s.dev {
		switch {
		case first.Issuer == "":
			return exit.Misuse("write issuer: https://… into the file that --config names, or try it on this machine with --dev", "there is no issuer to serve")
		case c.TLS.Certificate == "" && !c.TLS.ByProxy:
			return exit.Misuse("set tls.certificate and tls.key, or try it on this machine with --dev", "there is no certificate to serve with")
		}
		return nil
	}
	host, _, _ := net.SplitHostPort(address)
	if !oidc.LoopbackHost(host) {
		return exit.Misuse("use --listen 127.0.0.1:8443, or a configuration file with a certificate of your own", "--dev serves loopback addresses only, not %s", address)
	}
	if c.DataDir == "" {
		return exit.Misuse("name it with --data-dir DIR; the local certificate authority is kept there", "--dev needs a data directory")
	}
	if c.TLS.Certificate != "" || c.TLS.ByProxy {
		return exit.Misuse("leave out one of them", "--dev makes its own certificate, and the configuration names another")
	}
	for _, issuer := range c.issuers() {
		if u, err := url.Parse(issuer.Issuer); issuer.Issuer != "" && (err != nil || !oidc.LoopbackHost(u.Hostname())) {
			return exit.Misuse("leave out --dev", "--dev serves issuers on localhost only, not %s", issuer.Issuer)
		}
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

// devIssuer is the issuer with --dev, unless the configuration has one:
// localhost and the port.
func (s *server) devIssuer(listening net.Addr) oidc.Issuer {
	port := 0
	if tcp, ok := listening.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return oidc.Issuer("https://localhost:" + strconv.Itoa(port))
}

// loadCertificate reads the certificate that new connections get.
func (s *server) loadCertificate(c config) error {
	if c.TLS.ByProxy {
		return nil
	}
	load := c.TLS.load
	if s.dev {
		load = func() (tls.Certificate, error) { return devCertificate(c.DataDir, s.env.Now()) }
	}
	pair, err := load()
	if err == nil {
		s.pair.Store(&pair)
	}
	return err
}

func (t tlsConfig) load() (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return tls.Certificate{}, exit.Misuse("", "reading the certificate: %w", err)
	}
	return pair, nil
}

// announce tells a person what to type next.
func (s *server) announce(issuer IssuerConfig) {
	url := issuer.Issuer
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
`, url, ca, dir, exit.Quote(dir), exit.Quote(ca), cmp.Or(issuer.GroupsClaim, "groups"))
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
