// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/kubetest"
)

// TestFlags is the front door: an API server that is configured by flags takes a
// token of an issuer, and its administrator may do everything.
func TestFlags(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	plane := kubetest.New(t, kubetest.Config{ServerFlags: []string{
		"--oidc-issuer-url=" + issuer.url,
		"--oidc-client-id=kubernetes",
		"--oidc-ca-file=" + issuer.caFile,
		"--oidc-username-claim=sub",
		"--oidc-username-prefix=-",
		"--service-account-issuer=https://other.example.com",
	}})

	var admin struct {
		Status struct {
			UserInfo struct {
				Username string
				Groups   []string
			}
		}
	}
	kubectlJSON(t, plane, &admin, "auth", "whoami")
	if got, want := admin.Status.UserInfo.Groups, []string{"system:masters", "system:authenticated"}; !cmp.Equal(got, want) {
		t.Errorf("the administrator's groups: got %q, want %q", got, want)
	}

	var version struct {
		ClientVersion, ServerVersion struct{ Major, Minor, GitVersion, GitTreeState string }
	}
	kubectlJSON(t, plane, &version, "version")
	if diff := cmp.Diff(version.ClientVersion, version.ServerVersion); diff != "" {
		t.Errorf("versions of kubectl and of the API server differ (-client +server):\n%s", diff)
	}
	if got, want := version.ServerVersion.GitVersion, "v"+version.ServerVersion.Major+"."+version.ServerVersion.Minor+"."; !strings.HasPrefix(got, want) {
		t.Errorf("version: got %q, want %q…", got, want)
	}

	// A flag of the caller replaces ours, though this one can be repeated.
	out, err := plane.Kubectl(t.Context(), "get", "--raw", "/.well-known/openid-configuration").Output()
	if err != nil {
		t.Fatalf("reading the service-account issuer's metadata: %v", err)
	}
	if want := `"issuer":"https://other.example.com"`; !strings.Contains(string(out), want) {
		t.Errorf("service-account issuer: got %s, want %s in it", out, want)
	}

	if err := plane.WaitIssuer(t.Context(), issuer.url); err != nil {
		t.Fatal(err)
	}
	if got, want := whoami(t, plane, issuer.token(t, "alice")), "alice"; got != want {
		t.Errorf("who a token is: got %q, want %q", got, want)
	}

	// Nobody but us can read the directory, and so reach etcd.
	info, err := os.Stat(plane.Directory())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o700); got != want {
		t.Errorf("mode of the directory: got %v, want %v", got, want)
	}
}

// TestAuthenticationConfiguration changes the file while the API server runs.
func TestAuthenticationConfiguration(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	plane := kubetest.New(t, kubetest.Config{AuthenticationConfiguration: issuer.configuration("a:")})
	token := issuer.token(t, "alice")
	if err := plane.WaitIssuer(t.Context(), issuer.url); err != nil {
		t.Fatal(err)
	}
	if got, want := whoami(t, plane, token), "a:alice"; got != want {
		t.Errorf("who a token is: got %q, want %q", got, want)
	}

	// A file that the API server refuses leaves the one before in force. The
	// second time it does not even look at it.
	bad := []byte(strings.Replace(string(issuer.configuration("a:")), "https://", "http://", 1))
	for range 2 {
		err := plane.SetAuthenticationConfiguration(t.Context(), bad)
		if want := "jwt[0].issuer.url: Invalid value"; err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("a configuration with an http issuer: got error %v, want %q in it", err, want)
		}
	}
	if err := plane.SetAuthenticationConfiguration(t.Context(), []byte("kind: Unknown\n")); err == nil {
		t.Error("a configuration of an unknown kind: got no error")
	}
	if got, want := whoami(t, plane, token), "a:alice"; got != want {
		t.Errorf("who a token is after a bad configuration: got %q, want %q", got, want)
	}

	if err := plane.SetAuthenticationConfiguration(t.Context(), issuer.configuration("b:")); err != nil {
		t.Fatal(err)
	}
	// The API server remembers a token for ten seconds, so ask with a new one.
	if got, want := whoami(t, plane, issuer.token(t, "bob")), "b:bob"; got != want {
		t.Errorf("who a token is after a change: got %q, want %q", got, want)
	}
}

// TestWaitIssuerSaysWhy waits for issuers that do not come.
func TestWaitIssuerSaysWhy(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	issuer.server.Close()
	plane := kubetest.New(t, kubetest.Config{AuthenticationConfiguration: issuer.configuration("")})
	tests := []struct {
		name   string
		issuer string
		want   string
	}{
		{"configured but not serving", issuer.url, "connection refused"},
		{"serving somewhere else", "https://id.example.com", "the API server does not know it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := plane.WaitIssuer(ctx, test.issuer)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}

// TestStartSaysWhy starts what cannot start.
func TestStartSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	tests := []struct {
		name   string
		config kubetest.Config
		want   []string // parts of the error
	}{
		{
			name:   "unknown flag",
			config: kubetest.Config{ServerFlags: []string{"--no-such-flag"}},
			want:   []string{"kube-apiserver ended", "exit status 1", "unknown flag: --no-such-flag"},
		},
		{
			name:   "bad AuthenticationConfiguration",
			config: kubetest.Config{AuthenticationConfiguration: []byte("{")},
			want:   []string{"kube-apiserver ended", "authentication configuration"},
		},
		{
			name: "two kinds of configuration",
			config: kubetest.Config{
				ServerFlags:                 []string{"--oidc-issuer-url", "https://id.example.com"},
				AuthenticationConfiguration: []byte("{}"),
			},
			want: []string{"--oidc-issuer-url and Config.AuthenticationConfiguration exclude each other"},
		},
		{
			name: "no free port",
			config: kubetest.Config{}.WithPorts(func() (int, error) {
				return taken.Addr().(*net.TCPAddr).Port, nil
			}),
			want: []string{"address already in use"},
		},
		{
			name:   "no such program",
			config: kubetest.Config{Binaries: kubetest.Binaries{Etcd: "/does/not/exist"}},
			want:   []string{"starting etcd", "no such file"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.Dir = t.TempDir()
			plane, err := kubetest.Start(t.Context(), test.config)
			if err == nil {
				t.Fatalf("got no error; stopping: %v", plane.Stop())
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want %q in it", err, want)
				}
			}
			checkEmpty(t, test.config.Dir)
		})
	}
}

// TestTwoAtOnce starts two control planes at the same time. The first port that
// both try is the same, and taken.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var mu sync.Mutex
	tries := 0
	config := kubetest.Config{}.WithPorts(func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries <= 2 {
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		return l.Addr().(*net.TCPAddr).Port, l.Close()
	})

	planes := make([]*kubetest.ControlPlane, 2)
	t.Run("start", func(t *testing.T) {
		for i := range planes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				plane, err := kubetest.Start(context.WithoutCancel(t.Context()), config)
				if err != nil {
					t.Fatal(err)
				}
				planes[i] = plane
			})
		}
	})
	for i, plane := range planes {
		if plane == nil {
			continue
		}
		name := fmt.Sprintf("namespace-%d", i)
		if out, err := plane.Kubectl(t.Context(), "create", "namespace", name).CombinedOutput(); err != nil {
			t.Errorf("kubectl create namespace: %v: %s", err, out)
		}
	}
	for i, plane := range planes {
		if plane == nil {
			continue
		}
		if err := plane.Kubectl(t.Context(), "get", "namespace", fmt.Sprintf("namespace-%d", 1-i)).Run(); err == nil {
			t.Error("a control plane has the other's namespace")
		}
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestStop looks for leftovers after Stop, and after the end of the context.
func TestStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		stop func(plane *kubetest.ControlPlane, cancel func()) error
		want string // a part of the error; empty for none
	}{
		{
			name: "stop",
			stop: func(plane *kubetest.ControlPlane, _ func()) error { return plane.Stop() },
		},
		{
			name: "context",
			stop: func(plane *kubetest.ControlPlane, cancel func()) error {
				cancel()
				return plane.Stop()
			},
		},
		{
			// The next Stop says so.
			name: "API server killed by somebody else",
			stop: func(plane *kubetest.ControlPlane, _ func()) error {
				apiServer, err := os.FindProcess(plane.ProcessIDs()[1])
				if err != nil {
					return err
				}
				if err := apiServer.Kill(); err != nil {
					return err
				}
				<-plane.APIServerGone().Done()
				return plane.Stop()
			},
			want: "kube-apiserver had ended before it was stopped: signal: killed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			plane, err := kubetest.Start(ctx, kubetest.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			err = test.stop(plane, cancel)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			checkGone(t, plane.ProcessIDs()...)
			checkEmpty(t, dir)
			if !strings.Contains(plane.ServerLog(), "Serving securely") {
				t.Error("the API server's log is gone after Stop")
			}
		})
	}
}

// TestRefusalReason reads lines as the API server writes them.
func TestRefusalReason(t *testing.T) {
	tests := []struct {
		name string
		log  string
		want string // empty if there is no reason to be found
	}{
		{"nothing", "I1122 01:00:00.000000       1 a.go:1] \"hello\"\n", ""},
		{
			"one line",
			"I1122 01:00:00.000000       1 a.go:1] \"hello\"\n" +
				`E1122 01:00:00.000000       1 authentication.go:801] "failed to validate authentication config" err="jwt[0].issuer.url: \"x\""` + "\n",
			`jwt[0].issuer.url: "x"`,
		},
		{
			"several lines",
			`E1122 01:00:00.000000       1 authentication.go:789] "failed to load authentication config" err=<` +
				"\n\tfirst\n\tsecond\n >\nI1122 01:00:00.000000       1 a.go:1] \"hello\"\n",
			"first\nsecond",
		},
		{"half a line", `E1122 01:00:00.000000       1 authentication.go:801] "failed to validate authentication config" err="jwt[0]`, ""},
		{"half a block", `E1122 01:00:00.000000       1 authentication.go:789] "failed to load authentication config" err=<` + "\n\tfirst\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := kubetest.RefusalReason([]byte(test.log))
			if got != test.want && ok || ok != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

// kubectlJSON runs kubectl as the administrator and reads what it prints.
func kubectlJSON(t *testing.T, plane *kubetest.ControlPlane, into any, args ...string) {
	t.Helper()
	cmd := plane.Kubectl(t.Context(), append(args, "--output=json")...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("kubectl %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// whoami asks the API server who a token is.
func whoami(t *testing.T, plane *kubetest.ControlPlane, token string) string {
	t.Helper()
	// Without the administrator's client certificate, which would win.
	kubeconfig := filepath.Join(t.TempDir(), "config")
	content := fmt.Sprintf(`{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q, "certificate-authority": %q}}],
		"users": [{"name": "c", "user": {"token": %q}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]
	}`, plane.URL(), plane.CAFile(), token)
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := plane.Kubectl(t.Context(), "--kubeconfig="+kubeconfig, "auth", "whoami", "--output=jsonpath={.status.userInfo.username}").CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl auth whoami: %v: %s", err, out)
	}
	return string(out)
}

// issuer is a small provider: metadata, a key set and signatures.
type issuer struct {
	url    string
	caFile string
	ca     []byte
	server *httptest.Server
	signer jose.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256,
		Key:       jose.JSONWebKey{Key: key, KeyID: "1"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // the client sees a short answer
		}
	}
	mux.Handle("/.well-known/openid-configuration", answer(map[string]string{
		"issuer": server.URL, "jwks_uri": server.URL + "/keys",
	}))
	mux.Handle("/keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"},
	}}))
	i := &issuer{
		url:    server.URL,
		caFile: filepath.Join(t.TempDir(), "ca.crt"),
		ca:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		server: server,
		signer: signer,
	}
	if err := os.WriteFile(i.caFile, i.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// token issues an ID token.
func (i *issuer) token(t *testing.T, subject string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": i.url, "aud": "kubernetes", "sub": subject,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := i.signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// configuration makes an API server trust the issuer.
func (i *issuer) configuration(prefix string) []byte {
	return fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [kubernetes]
    certificateAuthority: %q
  claimMappings:
    username:
      claim: sub
      prefix: %q
`, i.url, i.ca, prefix)
}

// checkGone waits until processes have ended: after SIGKILL to their parent they
// are not gone at once.
func checkGone(t *testing.T, pids ...int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Errorf("process %d is still there", pid)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// alive reports whether a process runs. One that has ended but that nobody has
// waited for does not count, where the system tells.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil || process.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	// The state is the field after the name, which is in parentheses.
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// checkEmpty expects no directory of a control plane in dir.
func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	if found := controlPlanes(t, dir); len(found) != 0 {
		t.Errorf("left behind: %q", found)
	}
}

// controlPlanes lists what is in dir.
func controlPlanes(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
