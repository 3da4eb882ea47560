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

func TestHelp(t *testing.T) {
	for name, ways := range map[string][][]string{
		"help":      {{"help"}, {"--help"}, {"-h"}},
		"get-token": {{"get-token", "--help"}, {"get-token", "-h"}, {"help", "get-token"}},
		"version":   {{"version", "--help"}, {"help", "version"}},
	} {
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
	for _, flag := range []string{
		"v", "vmodule", "logtostderr", "alsologtostderr", "alsologtostderrthreshold", "stderrthreshold", "log_dir", "log_file", "log_file_max_size",
		"log_backtrace_at", "one_output", "skip_headers", "skip_log_headers", "add_dir_header", "legacy_stderr_threshold_behavior",
	} {
		if code, _, stderr := run("get-token", "--"+flag+"=1"); code != 2 || stderr != "error: --"+flag+" is not built yet in this version\n" {
			t.Errorf("--%s: got exit code %d and %q", flag, code, stderr)
		}
	}
}
