// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/secret"
)

// What is written anew is read back, whatever the names are.
func TestNewReadsBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"production", "id.example.com/dex#kubernetes", "a'b\"c$(id)`;%\\", "true", "007", "- x", "日本", "a: b", " a "} {
		cluster := kubeconfig.Cluster{Name: name, Server: "https://k8s.example.com:6443", AuthorityData: "Q0E="}
		context := kubeconfig.Context{Name: name, Cluster: name, User: name, Namespace: "alice"}
		plugin := kubeconfig.User{Name: name, Exec: &kubeconfig.Exec{
			APIVersion: "client.authentication.k8s.io/v1", Command: "kubectl-oidc_login", Args: []string{"get-token", "--oidc-client-id=" + name},
			InteractiveMode: "IfAvailable", InstallHint: "see https://id.example.com/#plugin",
		}}
		tokens := kubeconfig.User{Name: name + "#2", AuthProvider: &kubeconfig.AuthProvider{
			Name: "oidc", Config: map[string]secret.String{"client-id": secret.New(name), "id-token": secret.New("a.b.c")},
		}}
		text, err := kubeconfig.New{
			Clusters: []kubeconfig.Cluster{cluster}, Users: []kubeconfig.User{plugin, tokens}, Contexts: []kubeconfig.Context{context}, Current: name,
		}.Text()
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		path := put(t, filepath.Join(t.TempDir(), "config"), text, 0o600)
		c, err := kubeconfig.Load([]string{path})
		if err != nil {
			t.Errorf("%q: %v in:\n%s", name, err, text)
			continue
		}
		cluster.Path, context.Path, plugin.Path, tokens.Path = path, path, path, path
		gotCluster, _ := c.Cluster(name)
		gotContext, _ := c.Context(name)
		gotPlugin, _ := c.User(name)
		gotTokens, _ := c.User(name + "#2")
		for _, diff := range []string{
			cmp.Diff(cluster, gotCluster), cmp.Diff(context, gotContext), cmp.Diff(plugin, gotPlugin),
			cmp.Diff(name, c.CurrentContext()), cmp.Diff(tokens, gotTokens, cmp.AllowUnexported(secret.String{})),
		} {
			if diff != "" {
				t.Errorf("%q (-want +got):\n%s\nin:\n%s", name, diff, text)
			}
		}
	}
}

// What parsers read each in its own way is not written.
func TestNewRefusesWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\xff", "\ufeff"} {
		text, err := kubeconfig.New{Clusters: []kubeconfig.Cluster{{Name: name}}}.Text()
		if err == nil {
			t.Errorf("%q: got\n%s", name, text)
		}
	}
}
