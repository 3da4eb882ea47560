// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/plugin"
)

func run(args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = plugin.Main(context.Background(), plugin.Env{
		Args: append([]string{"kubectl-oidc_login"}, args...), Lookup: func(string) string { return "" }, Stdout: &out, Stderr: &err,
	})
	return code, out.String(), err.String()
}

// helped are the commands that have a help of their own, in the order of the
// reference.
var helped = []string{"get-token", "setup", "login", "status", "logout", "clean", "standalone", "completion", "version"}

func TestHelp(t *testing.T) {
	pages := map[string][][]string{"help": {{"help"}, {"--help"}, {"-h"}}}
	for _, name := range helped {
		pages[name] = [][]string{{name, "--help"}, {name, "-h"}, {"help", name}}
	}
	for name, ways := range pages {
		path := filepath.Join("testdata", "help", name+".txt")
		for _, args := range ways {
			code, got, stderr := run(args...)
			if code != 0 || stderr != "" {
				t.Errorf("%q: got exit code %d and %q", args, code, stderr)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%q (-want +got; -update rewrites it):\n%s", args, diff)
			}
		}
	}
}

// Whoever replaces kubelogin changes no flag: these are its flags of get-token.
func TestFlagsAreThePeers(t *testing.T) {
	_, help, _ := run("get-token", "--help")
	for _, flag := range []string{
		"oidc-issuer-url", "oidc-client-id", "oidc-client-secret", "oidc-redirect-url", "oidc-extra-scope", "oidc-use-access-token",
		"oidc-request-header", "force-refresh", "token-cache-dir", "token-cache-storage", "certificate-authority", "certificate-authority-data",
		"insecure-skip-tls-verify", "tls-renegotiation-once", "tls-renegotiation-freely", "oidc-pkce-method", "grant-type", "listen-address",
		"skip-open-browser", "browser-command", "authentication-timeout-sec", "local-server-cert", "local-server-key",
		"open-url-after-authentication", "oidc-auth-request-extra-params", "username", "password",
	} {
		if !strings.Contains(help, "--"+flag+" ") && !strings.Contains(help, "--"+flag+"\n") {
			t.Errorf("help does not show --%s", flag)
		}
	}
	if code, _, stderr := run("get-token", "--oidc-use-pkce", "--help"); code != 0 {
		t.Errorf("--oidc-use-pkce: got exit code %d and %q", code, stderr)
	}
}

// The peer's library brings these to each command, with these values.
func TestLogFlagsAreThePeers(t *testing.T) {
	values := map[string][]string{
		"v": {"1", "9", "0"}, "vmodule": {"client=2,server*=3"}, "logtostderr": {"true", "false", ""}, "alsologtostderr": {"true", "false", ""},
		"alsologtostderrthreshold": {"INFO", "2"}, "stderrthreshold": {"ERROR", "0"}, "log_dir": {"/tmp"}, "log_file": {"x.log"},
		"log_file_max_size": {"1800"}, "log_backtrace_at": {"file.go:234"}, "one_output": {"true", ""}, "skip_headers": {"true", ""},
		"skip_log_headers": {"true", ""}, "add_dir_header": {"true", ""}, "legacy_stderr_threshold_behavior": {"true", ""},
	}
	if len(values) != len(plugin.LogFlags()) {
		t.Errorf("the peer has %d flags, we have %d", len(values), len(plugin.LogFlags()))
	}
	for _, command := range helped {
		for _, flag := range plugin.LogFlags() {
			for _, value := range values[flag] {
				word := "--" + flag
				if value != "" {
					word += "=" + value
				}
				if code, stdout, stderr := run(command, word, "--help"); code != 0 || strings.Contains(stdout, "--"+flag) {
					t.Errorf("%s %s: got exit code %d and %q, or it is in the help", command, word, code, stderr)
				}
			}
		}
		for _, args := range [][]string{{"-v", "1"}, {"-v1"}, {"-v=1"}, {"-hv1"}} {
			if code, _, stderr := run(append(append([]string{command}, args...), "--help")...); code != 0 {
				t.Errorf("%s %q: got exit code %d and %q", command, args, code, stderr)
			}
		}
		for _, word := range []string{"-v=loud", "--logtostderr=perhaps", "--log_file_max_size=-1"} {
			if code, _, _ := run(command, word); code != 2 {
				t.Errorf("%s %s: got exit code %d, want 2", command, word, code)
			}
		}
	}
}
