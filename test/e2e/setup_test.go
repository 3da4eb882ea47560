// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/kubetest"
)

// setup is what "setup --output json" prints, as far as it matters here.
type setup struct {
	Claims struct {
		Email  string   `json:"email"`
		Groups []string `json:"cognito:groups"`
	} `json:"claims"`
	Kubectl struct {
		SetCredentials string `json:"set_credentials"`
		SetContext     string `json:"set_context"`
	} `json:"kubectl"`
	APIServer struct {
		Flags                       []string        `json:"flags"`
		AuthenticationConfiguration json.RawMessage `json:"authentication_configuration"`
	} `json:"api_server"`
	RoleBinding string `json:"role_binding"`
}

// Story 4 of the walkthroughs, steps 3 to 5: setup logs in, and what it prints
// is all that the API server and kubectl need, word for word.
func TestSetupIsAllThatAClusterNeeds(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	p.tegata("", "client", "add", "eks", "--public", "--redirect-uri", "http://localhost:8000",
		"--redirect-uri", "http://localhost:18000", "--groups-claim", "cognito:groups")
	for _, form := range []string{"flags", "file"} {
		t.Run(form, func(t *testing.T) {
			l := p.laptop(password, "http")
			args := append([]string{"oidc-login", "setup"}, l.pluginArgs("eks", "--oidc-extra-scope=email,groups", "--output=json")[1:]...)
			binaries, err := kubetest.Build(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command(binaries.Kubectl, args...)
			command.Env, command.Stderr = l.env, p.said
			out, err := command.Output()
			if err != nil {
				t.Fatalf("kubectl oidc-login setup: %v", err)
			}
			l.remember()
			p.said.Write(out)
			var s setup
			if err := json.Unmarshal(out, &s); err != nil {
				t.Fatal(err)
			}
			if s.Claims.Email != "alice@example.com" || strings.Join(s.Claims.Groups, " ") != "platform-engineer" {
				t.Errorf("the claims: %+v", s.Claims)
			}

			// The API server, in one of the two forms.
			config := kubetest.Config{Binaries: binaries}
			if form == "file" {
				config.AuthenticationConfiguration = s.APIServer.AuthenticationConfiguration
			}
			for _, flag := range s.APIServer.Flags {
				if form == "flags" {
					// It says where the authority is to be copied to.
					config.ServerFlags = append(config.ServerFlags, strings.Replace(flag, "=/etc/kubernetes/pki/oidc-ca.crt", "="+p.ca(), 1))
				}
			}
			plane := kubetest.New(t, config)
			if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
				t.Fatal(err)
			}
			shell := func(env []string, line string) {
				t.Helper()
				command := exec.Command("sh", "-ec", line)
				command.Env = append(env, "PATH="+filepath.Dir(binaries.Kubectl)+":/usr/bin:/bin", "KUBERC=off")
				if out, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
			}
			shell(plane.Kubectl(t.Context()).Env, s.RoleBinding)

			// kubectl.
			l.must(plane, "config", "set-cluster", "lab", "--server="+plane.URL(), "--certificate-authority="+plane.CAFile())
			l.must(plane, "config", "set-context", "lab", "--cluster=lab")
			l.must(plane, "config", "use-context", "lab")
			shell(l.env, s.Kubectl.SetCredentials)
			shell(l.env, s.Kubectl.SetContext)
			l.isAlice(t, plane)
			if n := len(l.visited()); n != 1 {
				t.Errorf("the browser was opened %d times, want once: setup keeps its login", n)
			}
			// No controller fills the role view here, so only the binding can be looked at.
			got, err := plane.Kubectl(t.Context(), "get", "clusterrolebinding", "oidc-view", "-o", "jsonpath={.roleRef.name} {.subjects[*].name}").Output()
			if err != nil || string(got) != "view oidc:platform-engineer" {
				t.Errorf("the printed role: %v: %s", err, got)
			}
			admin(t, plane, "create", "clusterrolebinding", "oidc:admins", "--clusterrole", "cluster-admin", "--group", "oidc:platform-engineer")
			if got := strings.Fields(l.must(plane, "auth", "can-i", "--list")); !strings.Contains(strings.Join(got, " "), "*.* [] [] [*]") {
				t.Errorf("not everything is permitted: %q", got)
			}

			// The same by --write, into a kubeconfig that somebody cares for.
			another := p.laptop(password, "http")
			another.must(plane, "config", "set-cluster", "lab", "--server="+plane.URL(), "--certificate-authority="+plane.CAFile())
			another.must(plane, "config", "set-context", "lab", "--cluster=lab", "--user=nobody")
			another.must(plane, "config", "use-context", "lab")
			command = exec.Command(binaries.Kubectl, append(args, "--write", "--set-context")...)
			command.Env, command.Stderr = another.env, p.said
			if err := command.Run(); err != nil {
				t.Fatalf("kubectl oidc-login setup --write: %v", err)
			}
			another.isAlice(t, plane)
			if n := len(another.visited()); n != 1 {
				t.Errorf("the browser was opened %d times, want once", n)
			}
			if kubeconfig := read(t, filepath.Join(another.home, ".kube", "config")); strings.Contains(kubeconfig, "command: kubectl\n") {
				t.Errorf("kubectl is to start kubectl:\n%s", kubeconfig)
			}
		})
	}
}

func (l *laptop) isAlice(t *testing.T, plane *kubetest.ControlPlane) {
	t.Helper()
	got := l.must(plane, "auth", "whoami")
	for _, want := range []string{"oidc:alice@example.com", "[oidc:platform-engineer system:authenticated]"} {
		if !strings.Contains(got, want) {
			t.Errorf("kubectl auth whoami does not say %q:\n%s", want, got)
		}
	}
}

// Story 3, step 4: the older form of a kubeconfig. Standalone mode fills it,
// kubectl refreshes it by itself and writes down what rotated, and standalone
// mode logs in again when that is over.
func TestLegacyKubeconfigIsFilledAndRefreshed(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	added := p.tegata("", "client", "add", "kubernetes", "--redirect-uri", "http://localhost:8000", "--output", "json")
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(added), &client); err != nil {
		t.Fatal(err)
	}
	p.tegata("", "client", "add", "public", "--public", "--redirect-uri", "http://localhost:8000")
	for _, name := range []string{"kubernetes", "public"} {
		t.Run(name, func(t *testing.T) {
			plane := newPlane(t, p, name)
			l := p.laptop(password, "http")
			const user = "user01@example.com"
			provider := []string{
				"--auth-provider=oidc", "--auth-provider-arg=idp-issuer-url=" + p.issuer, "--auth-provider-arg=client-id=" + name,
				"--auth-provider-arg=idp-certificate-authority=" + p.ca(), `--auth-provider-arg="extra-scopes=email,groups"`, // kubectl reads CSV
			}
			if name == "kubernetes" {
				provider = append(provider, "--auth-provider-arg=client-secret="+client.Secret)
			}
			l.must(plane, "config", "set-cluster", "lab", "--server="+plane.URL(), "--certificate-authority="+plane.CAFile())
			l.must(plane, append([]string{"config", "set-credentials", user}, provider...)...)
			l.must(plane, "config", "set-context", "lab", "--cluster=lab", "--user="+user)
			l.must(plane, "config", "use-context", "lab")

			// Without a command, and without anything else.
			standalone := func() {
				t.Helper()
				args := l.pluginArgs(name)
				command := exec.Command(plane.Binaries.Kubectl, append([]string{"oidc-login"}, args[len(args)-2:]...)...)
				command.Env = l.env
				out, err := command.CombinedOutput()
				p.said.Write(out)
				if err != nil || !strings.Contains(string(out), "alice is logged in at "+p.issuer) {
					t.Errorf("kubectl oidc-login: %v\n%s", err, out)
				}
			}
			stanza := func() (idToken, refreshToken string) {
				t.Helper()
				var config struct {
					Users []struct {
						User struct {
							AuthProvider struct {
								Config map[string]string `json:"config"`
							} `json:"auth-provider"`
						} `json:"user"`
					} `json:"users"`
				}
				command := l.call(plane, "config", "view", "--raw", "-o", "json")
				out, err := command.Output()
				if err == nil {
					err = json.Unmarshal(out, &config)
				}
				if err != nil || len(config.Users) != 1 {
					t.Fatalf("reading the kubeconfig: %v", err)
				}
				values := config.Users[0].User.AuthProvider.Config
				p.said.neverSay("ID token", values["id-token"])
				p.said.neverSay("refresh token", values["refresh-token"])
				return values["id-token"], values["refresh-token"]
			}
			standalone()
			idToken, refreshToken := stanza()
			if idToken == "" || refreshToken == "" {
				t.Fatal("standalone mode did not write both tokens")
			}
			l.isAlice(t, plane)

			// kubectl refreshes by itself, as it does when the ID token has ended.
			l.must(plane, "config", "set-credentials", user, "--auth-provider=oidc", "--auth-provider-arg=id-token-")
			if emptied, _ := stanza(); emptied != "" {
				t.Fatal("the ID token is still there, so the rest shows nothing")
			}
			l.isAlice(t, plane)
			newIDToken, newRefreshToken := stanza()
			if newIDToken == "" || newIDToken == idToken || newRefreshToken == refreshToken {
				t.Error("kubectl did not write down what the refresh gave")
			}
			l.isAlice(t, plane)
			standalone()
			if n := len(l.visited()); n != 1 {
				t.Errorf("the browser was opened %d times, want once", n)
			}

			// Both are void: kubectl cannot go on, and a login can.
			p.tegata(password.Reveal(), "user", "set-password", "alice", "--password-stdin")
			l.must(plane, "config", "set-credentials", user, "--auth-provider=oidc", "--auth-provider-arg=id-token-")
			if _, problems, err := l.kubectl(plane, "auth", "whoami"); err == nil {
				t.Errorf("kubectl went on with a refresh token that is void: %s", problems)
			}
			standalone()
			l.isAlice(t, plane)
			if n := len(l.visited()); n != 2 {
				t.Errorf("the browser was opened %d times, want twice", n)
			}
		})
	}
}
