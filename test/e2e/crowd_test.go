// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
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
