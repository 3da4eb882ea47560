// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each shell that is installed here reads what is printed for it.
func TestShellsReadTheirCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, text, stderr := run("completion", shell)
		if code != 0 || stderr != "" {
			t.Fatalf("%s: got exit code %d and %q", shell, code, stderr)
		}
		for _, word := range append([]string{"oidc-issuer-url", "device-code"}, helped...) {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %s is missing", shell, word)
			}
		}
		if shell == "powershell" {
			continue // it cannot read without doing
		}
		path, err := exec.LookPath(shell)
		if err != nil && shell == "bash" {
			t.Fatal("bash is missing; install it: it is what runs make check")
		} else if err != nil {
			t.Logf("%s is not installed: not read", shell)
			continue
		}
		file := filepath.Join(t.TempDir(), "completion")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	_, text, _ := run("completion", "bash")
	for _, test := range []struct{ words, want string }{
		{"kubectl-oidc_login stat", "status"},
		{"kubectl-oidc_login get-token --oidc-iss", "--oidc-issuer-url"},
		{"kubectl-oidc_login get-token --grant-type = dev", "device-code"},
		{"kubectl-oidc_login get-token --grant-type dev", "device-code"},
		{"kubectl-oidc_login get-token --token-cache-storage =", "disk\nkeyring\nnone"},
		{"kubectl-oidc_login status --output t", "table"},
		{"kubectl-oidc_login completion f", "fish"},
		{"kubectl-oidc_login help cl", "clean"},
		{"kubectl-oidc_login get-token --oidc-issuer-url x", ""},
		{"kubectl-oidc_login set", "setup"},
		{"kubectl-oidc_login setup --output", "--output"},
		{"kubectl-oidc_login setup --wr", "--write"},
		{"kubectl-oidc_login --kub", "--kubeconfig"},
		{"kubectl-oidc_login --grant-type = dev", "device-code"},
		{"kubectl-oidc_login standalone --kub", "--kubeconfig"},
	} {
		script := text + "\nCOMP_WORDS=(" + test.words + "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _kubectl_oidc_login; (IFS=$'\\n'; echo \"${COMPREPLY[*]}\")"
		got, err := exec.Command("bash", "-c", script).Output()
		if err != nil || strings.TrimSpace(string(got)) != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.words, got, err, test.want)
		}
	}
}
