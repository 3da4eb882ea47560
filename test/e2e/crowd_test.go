// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
)

// Many plugin processes at once ask the provider for no more than one would:
// one login without a token, one refresh with an expired one, nothing with a
// valid one.
func TestCrowdAsksOnce(t *testing.T) {
	for _, size := range []int{2, 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := serve(t, "")
			password := p.alice()
			p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
			l := p.laptop(password, "http")

			cold := l.crowd(t, size)
			if n := len(l.visited()); n != 1 {
				t.Errorf("without a token: the browser was opened %d times, want once", n)
			}
			if n := p.issued("authorization_code"); n != 1 {
				t.Errorf("without a token: %d logins, want 1", n)
			}
			warm := l.crowd(t, size)
			if warm != cold {
				t.Error("with a valid token: another token was printed")
			}
			if n := p.issued("refresh_token"); n != 0 {
				t.Errorf("with a valid token: %d refreshes, want none", n)
			}
			l.expire(t)
			if renewed := l.crowd(t, size); renewed == cold {
				t.Error("with an expired token: it was printed")
			}
			if n := p.issued("refresh_token"); n != 1 {
				t.Errorf("with an expired token: %d refreshes, want 1", n)
			}
		})
	}
}

// issued counts the token responses of a grant type in the provider's log.
func (p *provider) issued(grantType string) int {
	p.said.mu.Lock()
	defer p.said.mu.Unlock()
	return strings.Count(p.said.text.String(), `msg="tokens issued" grant_type=`+grantType)
}

// crowd starts plugins at once and returns the one token that all must print.
func (l *laptop) crowd(t *testing.T, size int) string {
	t.Helper()
	outputs := make([]bytes.Buffer, size)
	commands := make([]*exec.Cmd, size)
	for i := range commands {
		commands[i] = l.plugin("kubernetes")
		commands[i].Stdout = &outputs[i]
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	var waiting sync.WaitGroup
	for i, command := range commands {
		waiting.Go(func() {
			if err := command.Wait(); err != nil {
				t.Errorf("plugin %d: %v", i, err)
			}
		})
	}
	waiting.Wait()
	l.remember()
	tokens := map[string]bool{}
	for i := range outputs {
		var c credential
		if err := json.Unmarshal(outputs[i].Bytes(), &c); err != nil {
			t.Fatalf("plugin %d printed no ExecCredential: %v", i, err)
		}
		tokens[c.Status.Token] = true
	}
	if len(tokens) != 1 {
		t.Fatalf("%d plugins printed %d different tokens", size, len(tokens))
	}
	for token := range tokens {
		return token
	}
	return ""
}

// kubectl calls a plugin that fails five times for one command. The person is
// asked once, and the others hear why at once.
func TestStormOpensOneBrowser(t *testing.T) {
	p := serve(t, "")
	p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	binaries, err := kubetest.Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := p.laptop(secret.New("not her password"), "http")
	plane := &kubetest.ControlPlane{Binaries: binaries}
	l.must(plane, "config", "set-cluster", "nowhere", "--server=https://127.0.0.1:1")
	l.must(plane, append([]string{
		"config", "set-credentials", "alice", "--exec-api-version=client.authentication.k8s.io/v1",
		"--exec-interactive-mode=Never", "--exec-command=" + filepath.Join(binDir, "kubectl-oidc_login"),
	}, execArgs(l.pluginArgs("kubernetes", "--authentication-timeout-sec=2"))...)...)
	l.must(plane, "config", "set-context", "nowhere", "--cluster=nowhere", "--user=alice")
	l.must(plane, "config", "use-context", "nowhere")

	_, problems, err := l.kubectl(plane, "get", "pods")
	if err == nil {
		t.Error("kubectl succeeded without a login")
	}
	if n := strings.Count(problems, "error: "); n < 2 {
		t.Errorf("kubectl called the plugin %d times, so this shows nothing:\n%s", n, problems)
	}
	if visits := l.visited(); len(visits) != 1 || !strings.Contains(visits[0], "password is wrong") {
		t.Errorf("the browser showed %q, want one page", visits)
	}
}
