// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
)

// Story 5 of the walkthroughs, with the plugin: a shell without a browser, a
// group that gives rights, and a machine that acts for itself. Then what an
// API server must refuse: an access token, and a token for another cluster.
func TestNoBrowser(t *testing.T) {
	folder := t.TempDir()
	key := writeKeyPair(t, folder, "ci")
	p := serve(t, "password_grant: true\ntls: {client_ca: "+filepath.Join(folder, "ci.crt")+"}\n")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--groups-claim", "cognito:groups",
		"--grant", "password", "--grant", "device_code", "--grant", "refresh_token")
	added := p.tegata("", "client", "add", "ci", "--grant", "client_credentials", "--groups-claim", "cognito:groups",
		"--claim-value", "email=ci@example.com", "--claim-value", "email_verified=true", "--claim-value", `cognito:groups=["deployers"]`, "--output", "json")
	for name, method := range map[string][]string{
		"prover": {"--auth", "private_key_jwt", "--jwks", filepath.Join(folder, "ci.crt")},
		"shower": {"--auth", "self_signed_tls_client_auth", "--jwks", filepath.Join(folder, "ci.crt")},
	} {
		p.tegata("", append([]string{"client", "add", name, "--grant", "client_credentials"}, method...)...)
	}
	p.tegata("", "client", "add", "fleet", "--public", "--redirect-uri", "http://localhost:8000",
		"--grant", "authorization_code", "--grant", "refresh_token", "--grant", "token_exchange", "--audience", "kubernetes")
	var ci struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(added), &ci); err != nil || ci.Secret == "" {
		t.Fatalf("tegata client add printed no secret: %v", err)
	}
	p.said.neverSay("client secret", ci.Secret)

	plane := kubetest.New(t, kubetest.Config{AuthenticationConfiguration: fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [kubernetes, ci]
    audienceMatchPolicy: MatchAny
    certificateAuthority: |
%s
  claimMappings:
    username: {claim: email, prefix: "oidc:"}
    groups: {claim: "cognito:groups", prefix: "gid:"}
`, p.issuer, indent(read(t, p.ca()), "      "))})
	if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
		t.Fatal(err)
	}
	admin(t, plane, "create", "clusterrolebinding", "admins", "--clusterrole=cluster-admin", "--group=gid:platform-engineer")

	l := p.laptop(password, "chromium")
	t.Run("password", func(t *testing.T) {
		l.connect(plane, append([]string{
			"--exec-api-version=client.authentication.k8s.io/v1", "--exec-interactive-mode=Never", "--exec-command=kubectl-oidc_login",
		}, execArgs(l.pluginArgs("kubernetes", "--grant-type=password", "--username=alice", "--password="+password.Reveal()))...)...)
		who := l.whoami(plane).Status.UserInfo
		if who.Username != "oidc:alice@example.com" || !slices.Contains(who.Groups, "gid:platform-engineer") {
			t.Errorf("the API server knows %+v", who)
		}
		l.must(plane, "get", "configmap", "-n", "kube-system")
		if n := len(l.visited()); n != 0 {
			t.Errorf("the browser was opened %d times, want never", n)
		}
	})
	t.Run("device code", func(t *testing.T) {
		token := p.laptop(password, "chromium").onDevice(t, "kubernetes", password)
		if out, err := present(t, plane, token); err != nil || !strings.Contains(out, "oidc:alice@example.com") {
			t.Errorf("kubectl auth whoami: %v\n%s", err, out)
		}
	})
	t.Run("client credentials", func(t *testing.T) {
		token := p.laptop(password, "chromium").credential(t, "ci", "--grant-type=client-credentials", "--oidc-client-secret="+ci.Secret).Status.Token
		out, err := present(t, plane, token)
		if err != nil || !strings.Contains(out, "oidc:ci@example.com") || !strings.Contains(out, "gid:deployers") {
			t.Errorf("kubectl auth whoami: %v\n%s", err, out)
		}
	})
	t.Run("a key or a certificate instead of a secret", func(t *testing.T) {
		l := p.laptop(password, "chromium")
		for client, flags := range map[string][]string{
			"prover": {"--oidc-client-assertion-key=" + key},
			"shower": {"--oidc-client-certificate=" + filepath.Join(folder, "ci.crt"), "--oidc-client-key=" + key},
		} {
			l.credential(t, client, append(flags, "--grant-type=client-credentials")...)
			// Without it, and with the other's way, there is nothing.
			for _, wrong := range [][]string{{"--oidc-client-secret=" + ci.Secret}, {"--oidc-client-assertion-key=" + key, "--oidc-extra-scope=groups"}} {
				command := l.plugin(client, append(wrong, "--grant-type=client-credentials", "--token-cache-storage=none")...)
				if err := command.Run(); (err == nil) != (client == "prover" && len(wrong) == 2) {
					t.Errorf("%s with %q: %v", client, wrong[0], err)
				}
			}
		}
	})
	t.Run("logout", func(t *testing.T) {
		l := p.laptop(password, "chromium")
		l.credential(t, "kubernetes", "--grant-type=password", "--username=alice", "--password="+password.Reveal())
		before := p.grants()
		command := exec.Command(filepath.Join(binDir, "kubectl-oidc_login"), "logout", "--oidc-issuer-url="+p.issuer,
			"--certificate-authority="+p.ca(), "--skip-open-browser")
		command.Env = l.env
		out, err := command.CombinedOutput()
		p.said.Write(out)
		if after := p.grants(); err != nil || after != before-1 {
			t.Errorf("%v: %d logins are left of %d, want one less\n%s", err, after, before, out)
		}
	})
	t.Run("an access token is no ID token", func(t *testing.T) {
		token := p.laptop(password, "chromium").credential(t, "kubernetes", "--grant-type=password", "--username=alice", "--password="+password.Reveal(), "--oidc-use-access-token").Status.Token
		if out, err := present(t, plane, token); err == nil || !strings.Contains(out, "Unauthorized") {
			t.Errorf("the API server takes an access token: %v\n%s", err, out)
		}
	})
	t.Run("token exchange", func(t *testing.T) {
		wide := p.laptop(password, "http").credential(t, "fleet").Status.Token
		if out, err := present(t, plane, wide); err == nil || !strings.Contains(out, "Unauthorized") {
			t.Errorf("the API server takes a token for another audience: %v\n%s", err, out)
		}
		var answer struct {
			Token string `json:"access_token"`
			Type  string `json:"issued_token_type"`
		}
		p.call(t, "/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"fleet"}, "audience": {"kubernetes"},
			"subject_token": {wide}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		}, &answer)
		p.said.neverSay("ID token", answer.Token)
		out, err := present(t, plane, answer.Token)
		if err != nil || !strings.Contains(out, "oidc:alice@example.com") || !strings.Contains(out, "gid:platform-engineer") {
			t.Errorf("the API server refuses the narrowed token: %v\n%s", err, out)
		}
	})
}

// grants counts the logins that live.
func (p *provider) grants() int {
	p.t.Helper()
	var list any
	if err := json.Unmarshal([]byte(p.tegata("", "grant", "list", "--output", "json")), &list); err != nil {
		p.t.Fatal(err)
	}
	if object, ok := list.(map[string]any); ok {
		list = object["grants"]
	}
	all, _ := list.([]any)
	return len(all)
}

// writeKeyPair makes a key and a certificate that it signed itself, and
// returns the file of the key.
func writeKeyPair(t *testing.T, folder, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: certificate}, name + ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(folder, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, name+".key")
}

// present asks the API server who the bearer of a token is.
func present(t *testing.T, plane *kubetest.ControlPlane, token string) (string, error) {
	t.Helper()
	out, err := plane.Kubectl(t.Context(), "--kubeconfig=/dev/null", "--server="+plane.URL(),
		"--certificate-authority="+plane.CAFile(), "--token="+token, "auth", "whoami").CombinedOutput()
	return string(out), err
}

// onDevice logs in with a code that the plugin shows, in a browser elsewhere.
func (l *laptop) onDevice(t *testing.T, client string, password secret.String) string {
	t.Helper()
	command := l.plugin(client, "--grant-type=device-code", "--skip-open-browser")
	var shown, printed lockedBuffer
	command.Stderr, command.Stdout = &shown, &printed
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	var address string
	eventually(t, 20*time.Second, func() error {
		address = regexp.MustCompile(`https://\S+/device\?user_code=[A-Z-]+`).FindString(shown.String())
		if address == "" {
			return fmt.Errorf("the plugin shows no address: %s", shown.String())
		}
		return nil
	})
	code := address[strings.LastIndex(address, "=")+1:]
	if !strings.Contains(strings.ReplaceAll(shown.String(), address, ""), code) {
		t.Errorf("the plugin does not show the code beside the address:\n%s", shown.String())
	}

	who := person.Person{Login: "alice@example.com", Password: password, CAFile: l.p.ca()}
	browser, err := who.Chromium(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	page, err := browser.LogIn(address)
	if err != nil || !strings.Contains(page.Text, code) || !strings.Contains(page.Text, "kubectl-oidc_login") || !strings.Contains(page.Text, "127.0.0.1") {
		t.Fatalf("the page that asks: %v\n%+v", err, page)
	}
	if page, err = browser.Press("allow"); err != nil || !strings.Contains(page.Text, "The device is logged in") {
		t.Fatalf("after Allow: %v\n%+v", err, page)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("kubectl-oidc_login: %v\n%s", err, shown.String())
		}
	case <-time.After(30 * time.Second):
		_ = command.Process.Kill()
		t.Fatalf("the plugin goes on waiting:\n%s", shown.String())
	}
	var c credential
	if err := json.Unmarshal([]byte(printed.String()), &c); err != nil {
		t.Fatalf("the plugin printed no ExecCredential: %v", err)
	}
	l.p.said.neverSay("ID token", c.Status.Token)
	l.remember()
	return c.Status.Token
}

// call posts a form to the provider and reads its JSON answer.
func (p *provider) call(t *testing.T, path string, form url.Values, into any) {
	t.Helper()
	ca, err := os.ReadFile(p.ca())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal(errors.New("the file of the authority holds no certificate"))
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	response, err := client.PostForm(p.issuer+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
