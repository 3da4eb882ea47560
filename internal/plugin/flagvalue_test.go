// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/plugin"
)

// The lists and maps are read as kubelogin reads them, which is as pflag does.
func FuzzListsAreThePeers(f *testing.F) {
	for _, seed := range [][2]string{
		{"a", "b"}, {"a,b", "c"}, {"", ""}, {"k=v", "l=w"}, {"k=v,l=w", "k=x"}, {`"a,b",c`, "d"}, {"k=a,b", "x=y=z"}, {`"k=v"`, `"`}, {"k", "="}, {"a\nb", "c"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, flag := range []string{"--oidc-extra-scope=", "--oidc-request-header="} {
			var wantScopes []string
			var wantHeaders map[string]string
			peer := pflag.NewFlagSet("peer", pflag.ContinueOnError)
			peer.StringSliceVar(&wantScopes, "oidc-extra-scope", nil, "")
			peer.StringToStringVar(&wantHeaders, "oidc-request-header", nil, "")
			args := []string{flag + one, flag + two}
			wantErr := peer.Parse(args)
			scopes, headers, err := plugin.ParseLists(args)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: got the error %v, the peer's is %v", args, err, wantErr)
			}
			if err == nil && (!cmp.Equal(scopes, wantScopes, cmpopts.EquateEmpty()) || !cmp.Equal(headers, wantHeaders, cmpopts.EquateEmpty())) {
				t.Errorf("%q: got %q and %q, the peer has %q and %q", args, scopes, headers, wantScopes, wantHeaders)
			}
		}
	})
}
