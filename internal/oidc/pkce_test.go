// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// RFC 7636, appendix B.
const (
	vectorVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	vectorChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestCodeChallenge(t *testing.T) {
	if got := oidc.CodeChallenge(secret.New(vectorVerifier)); got != vectorChallenge {
		t.Errorf("got %q, want %q (RFC 7636, appendix B)", got, vectorChallenge)
	}
}

func TestCodeVerifier(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		verifier := oidc.NewCodeVerifier()
		if !oidc.ValidCodeVerifier(verifier) {
			t.Fatalf("a new verifier of %d bytes is not valid", len(verifier.Reveal()))
		}
		if seen[verifier.Reveal()] {
			t.Fatal("got the same verifier twice")
		}
		seen[verifier.Reveal()] = true
		if !oidc.ValidCodeChallenge(oidc.CodeChallenge(verifier)) {
			t.Fatal("its challenge is not valid")
		}
	}
	for _, test := range []struct {
		name, verifier string
		want           bool
	}{
		{"43 characters", strings.Repeat("a", 43), true},
		{"128 characters", strings.Repeat("Z", 128), true},
		{"all kinds", "abcxyzABCXYZ0123456789-._~" + strings.Repeat("a", 20), true},
		{"empty", "", false},
		{"42 characters", strings.Repeat("a", 42), false},
		{"129 characters", strings.Repeat("a", 129), false},
		{"plus", strings.Repeat("a", 43) + "+", false},
		{"slash", strings.Repeat("a", 43) + "/", false},
		{"equals sign", strings.Repeat("a", 43) + "=", false},
		{"space", strings.Repeat("a", 43) + " ", false},
		{"line break", strings.Repeat("a", 43) + "\n", false},
		{"percent", strings.Repeat("a", 43) + "%41", false},
		{"letter outside ASCII", strings.Repeat("a", 43) + "é", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oidc.ValidCodeVerifier(secret.New(test.verifier)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestValidCodeChallenge(t *testing.T) {
	for _, test := range []struct {
		name, challenge string
		want            bool
	}{
		{"RFC 7636, appendix B", vectorChallenge, true},
		{"empty", "", false},
		{"one short", vectorChallenge[1:], false},
		{"one long", vectorChallenge + "A", false},
		{"padded", vectorChallenge + "=", false},
		{"standard alphabet", strings.ReplaceAll(vectorChallenge, "-", "+"), false},
		{"bits after the end", vectorChallenge[:42] + "N", false},
		{"line break inside", vectorChallenge[:10] + "\n" + vectorChallenge[10:], false},
		{"line break after", vectorChallenge + "\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oidc.ValidCodeChallenge(test.challenge); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestMatchCodeChallenge(t *testing.T) {
	for _, test := range []struct {
		name, challenge, verifier string
		want                      bool
	}{
		{"RFC 7636, appendix B", vectorChallenge, vectorVerifier, true},
		{"another verifier", vectorChallenge, strings.Replace(vectorVerifier, "d", "e", 1), false},
		{"plain", vectorVerifier, vectorVerifier, false},
		{"the challenge for the verifier", vectorChallenge, vectorChallenge, false},
		{"no verifier", vectorChallenge, "", false},
		{"no challenge", "", vectorVerifier, false},
		{"neither", "", "", false},
		{"short verifier that hashes right", oidc.CodeChallenge(secret.New("short")), "short", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oidc.MatchCodeChallenge(test.challenge, secret.New(test.verifier)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzCodeVerifier(f *testing.F) {
	f.Add(vectorVerifier, vectorChallenge)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, verifier, challenge string) {
		v := secret.New(verifier)
		if oidc.MatchCodeChallenge(challenge, v) && (oidc.CodeChallenge(v) != challenge || !oidc.ValidCodeVerifier(v) || !oidc.ValidCodeChallenge(challenge)) {
			t.Errorf("%q matched %q", verifier, challenge)
		}
		if oidc.ValidCodeVerifier(v) && !oidc.MatchCodeChallenge(oidc.CodeChallenge(v), v) {
			t.Errorf("%q did not match its own challenge", verifier)
		}
	})
}
