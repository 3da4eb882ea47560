// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package kubetest runs a real Kubernetes control plane, etcd and
// kube-apiserver, for tests and for the demo. There is no kubelet and no
// controller manager: pods can be created and read back but do not run, and
// nothing makes the "default" service account.
//
// A test asks for one in one line:
//
//	plane := kubetest.New(t, kubetest.Config{ServerFlags: []string{
//		"--oidc-issuer-url=" + issuer, "--oidc-client-id=kubernetes", "--oidc-ca-file=" + ca,
//	}})
//	if err := plane.WaitIssuer(t.Context(), issuer); err != nil { … }
//	out, err := plane.Kubectl(t.Context(), "get", "namespaces").CombinedOutput()
//
// A program without a testing.T calls [Start] and [ControlPlane.Stop].
//
// The programs are built once from the module in test/controlplane and kept in
// the user's cache folder; see [Build]. Everything else lies in one temporary
// directory. etcd listens on a Unix socket in there, the API server on a free
// port of 127.0.0.1. Neither outlives the process that started them (on Linux
// not even after SIGKILL), and a directory that a killed process left behind is
// removed by the next start.
package kubetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// readyTimeout is how long the control plane may take to become ready. It
	// takes two to three seconds on an idle machine with two cores.
	readyTimeout = 2 * time.Minute

	// pollInterval is the pause between two looks at something that changes in
	// another process.
	pollInterval = 20 * time.Millisecond

	// portAttempts is how many ports are tried: each is free when it is chosen,
	// but another process may take it before the API server does.
	portAttempts = 5

	// tailLines is how much of a log an error shows.
	tailLines = 20
)

// Config says what to start. The zero value starts a control plane that knows
// no issuer but its own.
type Config struct {
	// Binaries are the programs to run, as absolute paths. When it is the zero
	// value, [Build] provides them.
	Binaries Binaries

	// Dir is where the temporary directory of the control plane is made;
	// [os.TempDir] when empty.
	Dir string

	// ServerFlags are added to the API server's flags and replace those of the
	// same name. Paths in them are absolute.
	ServerFlags []string

	// AuthenticationConfiguration is the file for --authentication-config, and
	// excludes the --oidc-* flags. It can be changed later with
	// [ControlPlane.SetAuthenticationConfiguration].
	AuthenticationConfiguration []byte

	// Log receives plain lines on the progress; nil is quiet.
	Log io.Writer

	// freePort replaces the choice of a port in tests of this package.
	freePort func() (int, error)
}

// ControlPlane is a running etcd and API server. Its methods may be called from
// several goroutines.
type ControlPlane struct {
	// Binaries are the programs in use.
	Binaries Binaries

	url       string
	directory *directory
	authority *authority
	adminPair keyPair      // a member of system:masters
	admin     *http.Client // who shows adminPair

	etcd, apiServer *process
	released        func() bool // ends the watch over the context of Start
	shutdown        func() error

	structured bool // started with an AuthenticationConfiguration

	// mu guards the field below.
	mu        sync.Mutex
	serverLog []byte // what the API server had logged when it was stopped

	// reload is held during a change of the AuthenticationConfiguration and
	// guards the field below.
	reload  sync.Mutex
	refused refusedConfiguration
}

// Start starts a control plane and returns when it is ready: the built-in roles
// and namespaces are there. The control plane runs until Stop, or until ctx
// ends, which stops it in the same way; Stop then waits for that.
func Start(ctx context.Context, c Config) (_ *ControlPlane, err error) {
	if c.AuthenticationConfiguration != nil {
		for name := range flagNames(c.ServerFlags) {
			if strings.HasPrefix(name, "oidc-") || name == "authentication-config" {
				return nil, fmt.Errorf("--%s and Config.AuthenticationConfiguration exclude each other", name)
			}
		}
	}
	if c.freePort == nil {
		c.freePort = freePort
	}
	if c.Binaries == (Binaries{}) {
		if c.Binaries, err = Build(ctx, c.Log); err != nil {
			return nil, err
		}
	}
	log := newProgress(c.Log)
	log.printf("starting etcd and kube-apiserver")

	// 1. The directory that holds everything.
	sweep(c.Dir)
	p := &ControlPlane{Binaries: c.Binaries, structured: c.AuthenticationConfiguration != nil}
	if p.directory, err = newDirectory(c.Dir); err != nil {
		return nil, err
	}
	p.shutdown = sync.OnceValue(p.stop)
	defer func() {
		if err != nil {
			_ = p.shutdown() // err says more
		}
	}()

	// 2. etcd, which needs nothing, and meanwhile the certificates.
	if p.etcd, err = p.startEtcd(); err != nil {
		return nil, err
	}
	if p.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if err := p.writePKI(); err != nil {
		return nil, err
	}
	if p.structured {
		if err := p.writeAuthenticationConfiguration(c.AuthenticationConfiguration); err != nil {
			return nil, err
		}
	}

	// 3. The API server, ready to serve.
	ready, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	if err := p.await(ready, pollInterval, p.etcdServes); err != nil {
		return nil, fmt.Errorf("starting etcd: %w", p.explain(err))
	}
	if err := p.startAPIServer(ready, c); err != nil {
		return nil, fmt.Errorf("starting kube-apiserver: %w\n(it says more with --v=4 in Config.ServerFlags)", err)
	}
	if err := p.writeKubeconfig(); err != nil {
		return nil, err
	}

	p.released = context.AfterFunc(ctx, func() { _ = p.shutdown() })
	log.printf("ready at %s after %s", p.url, log.elapsed(100*time.Millisecond))
	return p, nil
}

// Stop ends the API server and etcd and removes their directory. It is an error
// when one of them had ended before. Stop may be called more than once.
func (p *ControlPlane) Stop() error {
	p.released()
	return p.shutdown()
}

// stop does the work of Stop once, at any stage of a start.
func (p *ControlPlane) stop() error {
	var errs []error
	for _, child := range []*process{p.apiServer, p.etcd} {
		if child == nil {
			continue
		}
		if ended, err := child.ended(); ended {
			errs = append(errs, fmt.Errorf("%s had ended before it was stopped: %w", child.name, child.withTail(err)))
		}
		// Nothing in there is kept, so there is nothing to finish in order: a
		// polite end would take the API server a second and more.
		child.kill()
	}
	if p.apiServer != nil {
		log := p.apiServer.log()
		p.mu.Lock()
		p.serverLog = log
		p.mu.Unlock()
	}
	if p.admin != nil {
		p.admin.CloseIdleConnections()
	}
	return errors.Join(append(errs, p.directory.remove())...)
}

// URL is the address of the API server.
func (p *ControlPlane) URL() string { return p.url }

// CA returns the certificate, in PEM, of the authority that issued the API
// server's certificate.
func (p *ControlPlane) CA() []byte { return bytes.Clone(p.authority.certificate) }

// CAFile is the path of a file with the certificate that CA returns.
func (p *ControlPlane) CAFile() string { return p.path("pki", "ca.crt") }

// Kubeconfig is the path of a kubeconfig whose user may do everything: a client
// certificate in system:masters.
func (p *ControlPlane) Kubeconfig() string { return p.path("admin.kubeconfig") }

// Kubectl returns a command that is ready to run kubectl as the administrator.
// The argument --kubeconfig makes it somebody else; --token does not, because the
// administrator's client certificate comes first. It keeps its caches in the
// control plane's directory and ignores the preferences (kuberc) of the person
// who runs the test.
func (p *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Binaries.Kubectl, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+p.Kubeconfig(),
		"KUBECACHEDIR="+p.path("kubectl-cache"),
		"KUBERC=off",
	)
	// A credential plugin that outlives kubectl must not hold up its reader.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// ServerLog returns what the API server has logged so far, also after Stop.
func (p *ControlPlane) ServerLog() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serverLog != nil {
		return string(p.serverLog)
	}
	return string(p.apiServer.log())
}

// path names a file in the control plane's directory.
func (p *ControlPlane) path(elem ...string) string {
	return filepath.Join(append([]string{p.directory.path}, elem...)...)
}

// startEtcd starts etcd on Unix sockets. Their names are relative to the working
// directory that etcd and the API server share, because the path of a socket may
// not be longer than about a hundred bytes.
func (p *ControlPlane) startEtcd() (*process, error) {
	cmd := exec.Command(p.Binaries.Etcd,
		"--name=kubetest",
		"--data-dir=etcd",
		"--listen-client-urls=unix://etcd.sock",
		"--listen-peer-urls=unix://etcd-peer.sock",
		// Nobody uses these two, but they must look like addresses.
		"--advertise-client-urls=http://127.0.0.1:2379",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=kubetest=http://127.0.0.1:2380",
		// The only member elects itself, and need not wait a second for others.
		"--heartbeat-interval=10",
		"--election-timeout=100",
		"--unsafe-no-fsync", // nothing is kept
	)
	cmd.Dir = p.directory.path
	// etcd reads its flags from the environment too.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ETCD_") })
	return startProcess("etcd", cmd, p.path("etcd.log"))
}

// etcdServes reports whether etcd answers. An API server that comes too early
// waits a second before it tries again.
func (p *ControlPlane) etcdServes(context.Context) bool {
	return bytes.Contains(p.etcd.log(), []byte("ready to serve client requests"))
}

// startAPIServer starts the API server and waits until it is ready, on another
// port if somebody else took the first.
func (p *ControlPlane) startAPIServer(ctx context.Context, c Config) error {
	for attempt := 1; ; attempt++ {
		port, err := c.freePort()
		if err != nil {
			return fmt.Errorf("looking for a free port: %w", err)
		}
		p.url = fmt.Sprintf("https://127.0.0.1:%d", port)
		cmd := exec.Command(p.Binaries.APIServer, serverFlags(c, port)...)
		cmd.Dir = p.directory.path
		if p.apiServer, err = startProcess("kube-apiserver", cmd, p.path("kube-apiserver.log")); err != nil {
			return err
		}
		err = p.await(ctx, pollInterval, p.ready)
		if err == nil {
			return nil
		}
		ended, _ := p.apiServer.ended()
		taken := ended && bytes.Contains(p.apiServer.log(), []byte("address already in use"))
		if !taken || attempt == portAttempts {
			return p.explain(err)
		}
	}
}

// serverFlags are the API server's flags: ours, where the caller does not set
// the same, and then the caller's.
func serverFlags(c Config, port int) []string {
	flags := []string{
		"--etcd-servers=unix://etcd.sock",
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir=pki",
		"--tls-cert-file=pki/apiserver.crt",
		"--tls-private-key-file=pki/apiserver.key",
		"--client-ca-file=pki/ca.crt",
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=pki/service-account.pub",
		"--service-account-signing-key-file=pki/service-account.key",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--allow-privileged=true",
		// Without these two it looks for a network interface to publish, which a
		// machine without a network does not have.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--profiling=false",
	}
	if c.AuthenticationConfiguration != nil {
		flags = append(flags, "--authentication-config="+authenticationConfigFile)
	}
	given := flagNames(c.ServerFlags)
	flags = slices.DeleteFunc(flags, func(flag string) bool {
		for name := range flagNames([]string{flag}) {
			return given[name]
		}
		return false
	})
	return append(flags, c.ServerFlags...)
}

// flagNames is the set of the names in a list of flags.
func flagNames(flags []string) map[string]bool {
	names := make(map[string]bool)
	for _, flag := range flags {
		if strings.HasPrefix(flag, "-") {
			name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
			names[name] = true
		}
	}
	return names
}

// freePort returns a port of 127.0.0.1 that nobody uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// ready reports whether the API server is ready and has made the namespaces
// that every cluster has, which readiness alone does not promise.
func (p *ControlPlane) ready(ctx context.Context) bool {
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system"} {
		if _, err := p.get(ctx, path); err != nil {
			return false
		}
	}
	return true
}

// get reads a path of the API server as the administrator.
func (p *ControlPlane) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.admin.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return body, nil
}

// await returns when done, asked again and again, reports true. Its error is that
// a process ended, or that ctx did.
func (p *ControlPlane) await(ctx context.Context, interval time.Duration, done func(context.Context) bool) error {
	children := []*process{p.etcd}
	if p.apiServer != nil {
		children = append(children, p.apiServer)
	}
	// A question to a process that has ended may be one to whoever has its port
	// now, and take long.
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, child := range children {
		defer context.AfterFunc(child.gone, cancel)()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !done(asking) {
		select {
		case <-asking.Done():
			for _, child := range children {
				if ended, err := child.ended(); ended {
					return fmt.Errorf("%s ended: %w", child.name, err)
				}
			}
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// explain adds the end of the log that says most about an error of await.
func (p *ControlPlane) explain(err error) error {
	if ended, _ := p.etcd.ended(); ended || p.apiServer == nil {
		return p.etcd.withTail(err)
	}
	return p.apiServer.withTail(err)
}

// writePKI writes the certificates and keys that the API server reads and makes
// the administrator's client.
func (p *ControlPlane) writePKI() error {
	server, err := p.authority.issueServer()
	if err != nil {
		return err
	}
	private, public, err := newServiceAccountKey()
	if err != nil {
		return err
	}
	if err := os.Mkdir(p.path("pki"), 0o700); err != nil {
		return fmt.Errorf("writing certificates: %w", err)
	}
	for name, content := range map[string][]byte{
		"ca.crt":              p.authority.certificate,
		"apiserver.crt":       server.certificate,
		"apiserver.key":       server.key,
		"service-account.key": private,
		"service-account.pub": public,
	} {
		if err := os.WriteFile(p.path("pki", name), content, 0o600); err != nil {
			return fmt.Errorf("writing certificates: %w", err)
		}
	}

	if p.adminPair, err = p.authority.issueClient("kubetest-admin", "system:masters"); err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(p.adminPair.certificate, p.adminPair.key)
	if err != nil {
		return fmt.Errorf("loading the administrator's certificate: %w", err)
	}
	p.admin = p.client(certificate)
	return nil
}

// writeKubeconfig writes the administrator's kubeconfig.
func (p *ControlPlane) writeKubeconfig() error {
	encode := base64.StdEncoding.EncodeToString
	content := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: kubetest
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: admin
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: kubetest
  context:
    cluster: kubetest
    user: admin
current-context: kubetest
`, p.url, encode(p.authority.certificate), encode(p.adminPair.certificate), encode(p.adminPair.key))
	if err := os.WriteFile(p.Kubeconfig(), []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return nil
}

// client returns an HTTP client that trusts the API server and shows it the
// certificates, if any.
func (p *ControlPlane) client(certificates ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.certificate)
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates},
		},
	}
}
