// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package execcredential speaks the exec credential protocol of kubectl and
// client-go, client.authentication.k8s.io in its versions v1 and v1beta1.
//
// kubectl starts a credential plugin with an ExecCredential in the
// environment variable KUBERNETES_EXEC_INFO:
//
//	{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":true}}
//
// and reads another one, of the same version, from its standard output:
//
//	{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"expirationTimestamp":"2026-01-02T03:04:05Z","token":"…"}}
//
// The few types are written by hand, so that the plugin links nothing of
// Kubernetes. It is for the package plugin; it imports no network.
package execcredential

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

// Variable is the environment variable that holds the request.
const Variable = "KUBERNETES_EXEC_INFO"

// APIVersion is the version of the protocol that kubectl speaks with us.
type APIVersion string

// The versions that are spoken here. v1alpha1 left Kubernetes in 1.24.
const (
	V1      APIVersion = "client.authentication.k8s.io/v1"
	V1Beta1 APIVersion = "client.authentication.k8s.io/v1beta1"
)

// kind is the same in both directions and in each version.
const kind = "ExecCredential"

// Request is what kubectl asks for.
type Request struct {
	APIVersion APIVersion

	// Interactive says that standard input belongs to the plugin. It says
	// nothing about whether a person is there: kubectl sends false to each
	// kubeconfig entry with "interactiveMode: Never".
	Interactive bool
}

// ReadRequest reads the value of [Variable]. Without one the plugin was
// started by hand: it answers in v1beta1, as kubectl's plugins always did,
// and standard input is its own.
func ReadRequest(text string) (Request, error) {
	if text == "" {
		return Request{APIVersion: V1Beta1, Interactive: true}, nil
	}
	if request, ok := known(text); ok {
		return request, nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return Request{}, fmt.Errorf("reading %s: %w", Variable, err)
	}
	info, ok := value.(map[string]any)
	if !ok {
		return Request{}, fmt.Errorf("%s holds no %s", Variable, kind)
	}
	if k, ok := info["kind"]; ok && k != kind {
		return Request{}, fmt.Errorf("%s holds a %.40q, not an %s", Variable, fmt.Sprint(k), kind)
	}
	version, _ := info["apiVersion"].(string)
	request := Request{APIVersion: APIVersion(version)}
	switch request.APIVersion {
	case V1, V1Beta1:
	case "":
		request.APIVersion = V1Beta1
	default:
		return Request{}, fmt.Errorf("kubectl speaks %.80q, this plugin speaks %s and %s", version, V1, V1Beta1)
	}
	if spec, ok := info["spec"].(map[string]any); ok {
		request.Interactive, _ = spec["interactive"].(bool)
	}
	return request, nil
}

// known recognises the texts that kubectl writes if it is not asked for the
// cluster's data. It saves the warm path encoding/json, which would take a
// megabyte and a tenth of its instructions; any other text is read by it.
func known(text string) (Request, bool) {
	rest, ok := strings.CutPrefix(text, `{"kind":"`+kind+`","apiVersion":"`)
	if !ok {
		return Request{}, false
	}
	version, spec, _ := strings.Cut(rest, `"`)
	request := Request{APIVersion: APIVersion(version)}
	switch strings.TrimSuffix(spec, "\n") {
	case `,"spec":{"interactive":true}}`:
		request.Interactive = true
	case `,"spec":{"interactive":false}}`:
	default:
		return Request{}, false
	}
	return request, request.APIVersion == V1 || request.APIVersion == V1Beta1
}

// Credential is what kubectl gets: a bearer token and when it ends.
type Credential struct {
	Token  secret.String
	Expiry time.Time // kubectl asks again from then on; zero means never
}

// Write answers a request of the version.
func Write(w io.Writer, version APIVersion, credential Credential) error {
	token, err := quote(credential.Token.Reveal())
	if err != nil {
		return err
	}
	text := make([]byte, 0, len(token)+256)
	text = append(text, `{"kind":"`+kind+`","apiVersion":"`...)
	text = append(text, version...)
	text = append(text, `","spec":{"interactive":false},"status":{`...)
	if !credential.Expiry.IsZero() {
		text = append(text, `"expirationTimestamp":"`...)
		text = credential.Expiry.UTC().AppendFormat(text, time.RFC3339)
		text = append(text, `",`...)
	}
	text = append(text, `"token":`...)
	text = append(text, token...)
	text = append(text, "}}\n"...)
	_, err = w.Write(text)
	return err
}

// quote writes a token as a JSON string. A JWT needs no escapes.
func quote(token string) ([]byte, error) {
	for i := range len(token) {
		if c := token[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return json.Marshal(token)
		}
	}
	return []byte(`"` + token + `"`), nil
}
