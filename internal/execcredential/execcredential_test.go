// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package execcredential_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/execcredential"
	"github.com/tegata/tegata/internal/secret"
)

func TestReadRequest(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       execcredential.Request
		err        string // a part of the error
	}{
		{"started by hand", "", execcredential.Request{APIVersion: execcredential.V1Beta1, Interactive: true}, ""},
		{"v1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":true}}`, execcredential.Request{APIVersion: execcredential.V1, Interactive: true}, ""},
		{"v1beta1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false}}` + "\n", execcredential.Request{APIVersion: execcredential.V1Beta1}, ""},
		{"with the cluster", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":{"server":"https://x","certificate-authority-data":"AA=="},"interactive":true}}`, execcredential.Request{APIVersion: execcredential.V1, Interactive: true}, ""},
		{"no version", `{"spec":{}}`, execcredential.Request{APIVersion: execcredential.V1Beta1}, ""},
		{"v1alpha1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","spec":{"interactive":true}}`, execcredential.Request{}, "kubectl speaks"},
		{"another kind", `{"kind":"Pod","apiVersion":"v1"}`, execcredential.Request{}, `holds a "Pod", not an ExecCredential`},
		{"no object", `[]`, execcredential.Request{}, "holds no ExecCredential"},
		{"no JSON", `{`, execcredential.Request{}, "reading KUBERNETES_EXEC_INFO"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := execcredential.ReadRequest(test.text)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("got the error %v, want %q", err, test.err)
			}
			if err == nil && got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":true}}`)
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false}}`)
	f.Fuzz(func(t *testing.T, text string) {
		request, err := execcredential.ReadRequest(text)
		if err != nil || text == "" {
			return
		}
		// Whatever is taken means to encoding/json what it means here.
		var value struct {
			APIVersion any `json:"apiVersion"`
		}
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		if request.APIVersion != execcredential.V1 && request.APIVersion != execcredential.V1Beta1 {
			t.Errorf("%q: got the version %q", text, request.APIVersion)
		}
	})
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name       string
		credential execcredential.Credential
		want       map[string]any // status
	}{
		{"usual", execcredential.Credential{Token: secret.New("a.b-c_d"), Expiry: time.Unix(1800000000, 5)}, map[string]any{"token": "a.b-c_d", "expirationTimestamp": "2027-01-15T08:00:00Z"}},
		{"without an end", execcredential.Credential{Token: secret.New("a")}, map[string]any{"token": "a"}},
		{"odd token", execcredential.Credential{Token: secret.New("a\"\\\nü")}, map[string]any{"token": "a\"\\\nü"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := execcredential.Write(&out, execcredential.V1, test.credential); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
				t.Fatalf("%s: %v", out.String(), err)
			}
			want := map[string]any{
				"kind": "ExecCredential", "apiVersion": string(execcredential.V1), "spec": map[string]any{"interactive": false}, "status": test.want,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
