// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/kubetest"
)

// kubectl is the person's kubectl on the laptop.
func (l *laptop) kubectl(plane *kubetest.ControlPlane, args ...string) (stdout, stderr string, err error) {
	command := exec.Command(plane.Binaries.Kubectl, append([]string{"--kubeconfig", filepath.Join(l.home, ".kube", "config")}, args...)...)
	command.Env = l.env
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err = command.Run()
	l.p.said.Write(out.Bytes())
	l.p.said.Write(problems.Bytes())
	return out.String(), problems.String(), err
}

// must fails the test unless kubectl succeeds.
func (l *laptop) must(plane *kubetest.ControlPlane, args ...string) string {
	l.p.t.Helper()
	out, problems, err := l.kubectl(plane, args...)
	if err != nil {
		l.p.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, problems)
	}
	return out
}

// connect writes the kubeconfig of story 1, step 4.
func (l *laptop) connect(plane *kubetest.ControlPlane, credentials ...string) {
	l.p.t.Helper()
	l.must(plane, "config", "set-cluster", "lab", "--server="+plane.URL(), "--certificate-authority="+plane.CAFile())
	l.must(plane, append([]string{"config", "set-credentials", "cognito"}, credentials...)...)
	l.must(plane, "config", "set-context", "lab", "--cluster=lab")
	l.must(plane, "config", "use-context", "lab")
	l.must(plane, "config", "set-context", "--current", "--user=cognito")
}

func execArgs(args []string) []string {
	flags := []string{}
	for _, arg := range args {
		flags = append(flags, "--exec-arg="+arg)
	}
	return flags
}

// review is the part of a SelfSubjectReview that matters here.
type review struct {
	Status struct {
		UserInfo struct {
			Username string              `json:"username"`
			Groups   []string            `json:"groups"`
			Extra    map[string][]string `json:"extra"`
		} `json:"userInfo"`
	} `json:"status"`
}

func (l *laptop) whoami(plane *kubetest.ControlPlane) review {
	l.p.t.Helper()
	var r review
	if err := json.Unmarshal([]byte(l.must(plane, "auth", "whoami", "-o", "json")), &r); err != nil {
		l.p.t.Fatal(err)
	}
	return r
}

func admin(t *testing.T, plane *kubetest.ControlPlane, args ...string) {
	t.Helper()
	if out, err := plane.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Story 1 of the walkthroughs, word for word: a confidential client, six
// flags, a cluster role binding, a kubeconfig that calls the plugin through
// kubectl, and a person at a real browser.
func TestFirstLoginWithFlags(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	added := p.tegata("", "client", "add", "microk8s", "--redirect-uri", "http://localhost:8000",
		"--redirect-uri", "http://localhost:18000", "--groups-claim", "cognito:groups", "--output", "json")
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(added), &client); err != nil || client.Secret == "" {
		t.Fatalf("tegata client add printed no secret: %v", err)
	}

	plane := kubetest.New(t, kubetest.Config{ServerFlags: []string{
		"--oidc-issuer-url=" + p.issuer,
		"--oidc-ca-file=" + p.ca(),
		"--oidc-client-id=microk8s",
		"--oidc-username-claim=email",
		"--oidc-username-prefix=oidc:",
		"--oidc-groups-claim=cognito:groups",
		"--oidc-groups-prefix=oidc:",
	}})
	if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
		t.Fatal(err)
	}
	admin(t, plane, "create", "clusterrolebinding", "cluster-admin-platform-engineer",
		"--clusterrole=cluster-admin", "--group=oidc:platform-engineer")

	l := p.laptop(password, "chromium")
	l.connect(plane, append([]string{
		"--exec-api-version=client.authentication.k8s.io/v1beta1",
		"--exec-command=" + plane.Binaries.Kubectl,
		"--exec-arg=oidc-login",
	}, execArgs(l.pluginArgs("microk8s", "--oidc-client-secret="+client.Secret))...)...)
	p.said.neverSay("client secret", client.Secret)

	got := l.must(plane, "auth", "whoami")
	for _, want := range []string{"oidc:alice@example.com", "[oidc:platform-engineer system:authenticated]", "JTI="} {
		if !strings.Contains(got, want) {
			t.Errorf("kubectl auth whoami does not say %q:\n%s", want, got)
		}
	}
	visits := l.visited()
	if len(visits) != 1 {
		t.Fatalf("the browser was opened %d times, want once: %q", len(visits), visits)
	}
	if !strings.Contains(visits[0], "Alice Liddell") {
		t.Errorf("the last page does not greet the person: %q", visits[0])
	}

	// The next call needs no browser, and the groups give rights.
	l.must(plane, "create", "namespace", "made-by-alice")
	if out := l.must(plane, "auth", "can-i", "*", "*", "--all-namespaces"); !strings.Contains(out, "yes") {
		t.Errorf("a member of the bound group may not do everything: %s", out)
	}
	if n := len(l.visited()); n != 1 {
		t.Errorf("the browser was opened %d times, want once", n)
	}

	// A group that loses the person is gone from the next token.
	p.tegata("", "group", "remove-member", "platform-engineer", "alice")
	l.expire(t)
	got = l.must(plane, "auth", "whoami")
	if strings.Contains(got, "oidc:platform-engineer") || !strings.Contains(got, "oidc:alice@example.com") {
		t.Errorf("after the removal from the group:\n%s", got)
	}
	// Authenticated and not authorized: 403 with the person's name.
	_, problems, err := l.kubectl(plane, "get", "nodes")
	if err == nil || !strings.Contains(problems, `"oidc:alice@example.com" cannot list resource "nodes"`) {
		t.Errorf("without the group, got %v: %s", err, problems)
	}

	// A disabled user gets no new token: the refresh token is void, and the
	// login page says why.
	p.tegata("", "user", "disable", "alice")
	l.expire(t)
	disabled := l.plugin("microk8s", "--oidc-client-secret="+client.Secret, "--authentication-timeout-sec=4")
	if err := disabled.Run(); err == nil {
		t.Error("a disabled user still gets a token")
	}
	if visits := l.visited(); len(visits) != 2 || !strings.Contains(visits[1], "This user is disabled") {
		t.Errorf("a disabled user read %q", visits)
	}
}

// The same with a structured AuthenticationConfiguration, a public client,
// ES256, and the plugin called directly; the file changes while it runs.
func TestFirstLoginWithAuthenticationConfiguration(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000", "--signing-alg", "ES256")

	structured := func(prefix string) []byte {
		return fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [kubernetes]
    certificateAuthority: |
%s
  claimMappings:
    username: {expression: "'%s' + claims.preferred_username"}
    groups: {claim: groups, prefix: "%s"}
  userValidationRules:
  - expression: "!user.username.startsWith('system:')"
    message: a user name must not begin with system
`, p.issuer, indent(read(t, p.ca()), "      "), prefix, prefix)
	}
	plane := kubetest.New(t, kubetest.Config{AuthenticationConfiguration: structured("oidc:")})
	if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
		t.Fatal(err)
	}
	l := p.laptop(password, "chromium")
	l.connect(plane, append([]string{
		"--exec-api-version=client.authentication.k8s.io/v1",
		"--exec-interactive-mode=Never",
		"--exec-command=" + filepath.Join(binDir, "kubectl-oidc_login"),
	}, execArgs(l.pluginArgs("kubernetes"))...)...)

	r := l.whoami(plane)
	if got, want := r.Status.UserInfo.Username, "oidc:alice"; got != want {
		t.Errorf("user name %q, want %q", got, want)
	}
	if got, want := r.Status.UserInfo.Groups, []string{"oidc:platform-engineer", "system:authenticated"}; !slices.Equal(got, want) {
		t.Errorf("groups %q, want %q", got, want)
	}
	if len(r.Status.UserInfo.Extra["authentication.kubernetes.io/credential-id"]) != 1 {
		t.Errorf("no credential ID that leads from the audit log to the login: %v", r.Status.UserInfo.Extra)
	}

	// The provider stays; the API server learns another prefix while it runs.
	if err := plane.SetAuthenticationConfiguration(t.Context(), structured("tegata:")); err != nil {
		t.Fatal(err)
	}
	if got, want := l.whoami(plane).Status.UserInfo.Username, "tegata:alice"; got != want {
		t.Errorf("after the change: user name %q, want %q", got, want)
	}
	if n := len(l.visited()); n != 1 {
		t.Errorf("the browser was opened %d times, want once", n)
	}

	// An access token is no ID token, and a token for another client is none
	// for this API server.
	p.tegata("", "client", "add", "other", "--public", "--redirect-uri", "http://localhost:8000")
	token := l.credential(t, "other").Status.Token
	out, err := plane.Kubectl(t.Context(), "--kubeconfig=/dev/null", "--server="+plane.URL(),
		"--certificate-authority="+plane.CAFile(), "--token="+token, "auth", "whoami").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Unauthorized") {
		t.Errorf("a token for another client: %v\n%s", err, out)
	}
}
