// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Whatever claims a provider signs, and whatever comes with the signature: an
// ID token that we take is one that somebody else's client takes too, and it
// has our nonce.
func FuzzIDToken(f *testing.F) {
	s := newStage(f, "")
	source := newOIDC(f, s.config)
	ctx := gooidc.ClientContext(f.Context(), s.server.Client())
	provider, err := gooidc.NewProvider(ctx, s.server.URL)
	if err != nil {
		f.Fatal(err)
	}
	other := provider.Verifier(&gooidc.Config{ClientID: "tegata", SupportedSigningAlgs: []string{"ES256"}})
	now := time.Now().Unix()
	good := fmt.Sprintf(`{"iss":%q,"aud":"tegata","sub":"1","iat":%d,"exp":%d,"nonce":"ours"}`, s.server.URL, now, now+3600)
	for _, claims := range []string{
		good,
		strings.Replace(good, `"tegata"`, `["tegata"]`, 1),
		strings.Replace(good, `"tegata"`, `["tegata","x"],"azp":"tegata"`, 1),
		strings.Replace(good, `"nonce"`, `"Nonce"`, 1),
		strings.Replace(good, `"iss"`, `"ISS"`, 1),
		strings.Replace(good, `"sub":"1"`, `"sub":"1","sub":"2","nbf":0.5`, 1),
		strings.Replace(good, fmt.Sprint(now+3600), "1e300", 1),
		"{}", "[]", "null",
	} {
		f.Add([]byte(claims), "JWT", "")
		f.Add([]byte(claims), "at+jwt", "x")
	}
	f.Fuzz(func(t *testing.T, claims []byte, typ, tail string) {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		text += tail
		if err := source.VerifyIDToken(t.Context(), text, "ours"); err != nil {
			if string(claims) == good && typ == "JWT" && tail == "" {
				t.Errorf("a good ID token was refused: %v", err)
			}
			return
		}
		token, err := other.Verify(ctx, text)
		if err != nil || token.Nonce != "ours" || token.Subject == "" {
			t.Errorf("we take %s and nobody else does: %v", claims, err)
		}
		// What is behind the signature belongs to it, or it is another one.
		if raw, err := base64.RawURLEncoding.DecodeString(text[strings.LastIndexByte(text, '.')+1:]); err != nil || len(raw) != 64 {
			t.Errorf("we take a signature of %d bytes: %v", len(raw), err)
		}
	})
}
