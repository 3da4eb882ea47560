// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	keys := keySet(t, key.Public())
	hash := clientregistry.HashSecret(clientregistry.NewSecret())
	self, _ := certificate(t, nil, nil)
	certified := keySet(t, jose.JSONWebKey{Key: self.PublicKey, Certificates: []*x509.Certificate{self}})
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key}}})
	if err != nil {
		t.Fatal(err)
	}
	type client = clientregistry.Client
	machine := func(c *client) { // acts for itself
		c.RedirectURIs, c.Grants, c.SecretHash = nil, []string{oidc.GrantClientCredentials}, hash
	}
	for _, test := range []struct {
		name   string
		change func(*client)
		want   string // part of the error; empty: it is accepted
	}{
		{"every authentication: none", func(c *client) { c.Authentication = "none" }, ""},
		{"basic", func(c *client) { c.Authentication, c.SecretHash = "client_secret_basic", hash }, ""},
		{"post", func(c *client) { c.Authentication, c.SecretHash = "client_secret_post", hash }, ""},
		{"private_key_jwt", func(c *client) { c.Authentication, c.JWKS = "private_key_jwt", keys }, ""},
		{"tls_client_auth", func(c *client) { c.Authentication, c.TLSSubject = "tls_client_auth", "CN=ci" }, ""},
		{"self-signed", func(c *client) { c.Authentication, c.JWKS = "self_signed_tls_client_auth", certified }, ""},
		{"unknown authentication", func(c *client) { c.Authentication = "magic" }, `unknown client authentication "magic"; known are none, client_secret_basic`},
		{"a secret as a key", func(c *client) { c.Authentication = "client_secret_jwt" }, "use private_key_jwt"},
		{"a key and a secret", func(c *client) { c.Authentication, c.JWKS, c.SecretHash = "private_key_jwt", keys, hash }, "a client that authenticates with private_key_jwt has no secret"},
		{"public and a secret", func(c *client) { c.Authentication, c.SecretHash = "none", hash }, "has no secret"},
		{"no secret", func(c *client) { c.Authentication = "client_secret_post" }, "a client that authenticates with client_secret_post needs a secret"},
		{"no keys", func(c *client) { c.Authentication = "private_key_jwt" }, "needs its public keys (JWKS)"},
		{"keys that nobody reads", func(c *client) { c.JWKS = keys }, "public keys (JWKS) are for clients that authenticate with"},
		{"no subject", func(c *client) { c.Authentication = "tls_client_auth" }, "needs the name in its certificate"},
		{"a subject that nobody reads", func(c *client) { c.TLSSubject = "CN=ci" }, "a TLS subject is for clients that authenticate with tls_client_auth"},
		{"a subject that is none", func(c *client) { c.Authentication, c.TLSSubject = "tls_client_auth", "ci" }, `TLS subject "ci": it is no distinguished name; write it as openssl x509`},
		{"no certificate", func(c *client) { c.Authentication, c.JWKS = "self_signed_tls_client_auth", keys }, "needs its certificate among its public keys"},
		{"a private key", func(c *client) { c.Authentication, c.JWKS = "private_key_jwt", private }, "private or secret; take it out, and out of use"},
		{"a secret key", func(c *client) {
			c.Authentication, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
		}, "private or secret"},
		{"no key that is known", func(c *client) {
			c.Authentication, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[{"kty":"future"}]}`)
		}, "hold none for signatures with RS256, PS256, ES256, ES384, EdDSA"},
		{"a key for encryption", func(c *client) {
			c.Authentication, c.JWKS = "private_key_jwt", keySet(t, jose.JSONWebKey{Key: key.Public(), Use: "enc"})
		}, "hold none for signatures"},
		{"one ID for two keys", func(c *client) {
			c.Authentication, c.JWKS = "private_key_jwt", keySet(t, jose.JSONWebKey{Key: key.Public(), KeyID: "a"}, jose.JSONWebKey{Key: key.Public(), KeyID: "a"})
		}, `two keys with the ID "a"`},
		{"no keys at all", func(c *client) { c.Authentication, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[]}`) }, "hold none for signatures"},
		{"a key set that is none", func(c *client) { c.Authentication, c.JWKS = "private_key_jwt", json.RawMessage(`[]`) }, "no JWK Set"},
		{"too many keys", func(c *client) {
			c.Authentication, c.JWKS = "private_key_jwt", keySet(t, slices.Repeat([]any{key.Public()}, 17)...)
		}, "more than 16"},

		{"every grant", func(c *client) {
			c.Grants, c.SecretHash, c.Audiences = clientregistry.GrantTypes(), hash, []string{"cluster-a"}
		}, ""},
		{"device", func(c *client) {
			c.RedirectURIs, c.Grants = nil, []string{oidc.GrantDeviceCode, oidc.GrantRefreshToken}
		}, ""},
		{"machine", machine, ""},
		{"password without a refresh token", func(c *client) { c.RedirectURIs, c.Grants = nil, []string{oidc.GrantPassword} }, ""},
		{"unknown grant", func(c *client) { c.Grants = []string{"implicit"} }, `unknown grant "implicit"; known are authorization_code, refresh_token, client_credentials, password, device_code, token_exchange`},
		{"grant twice", func(c *client) { c.Grants = []string{oidc.GrantAuthorizationCode, oidc.GrantAuthorizationCode} }, `grant "authorization_code" is given twice`},
		{"code without a redirect URI", func(c *client) { c.RedirectURIs = nil }, "at least one redirect URI"},
		{"redirect URI without a code", func(c *client) { c.Grants = []string{oidc.GrantDeviceCode} }, "redirect URIs are for the grant authorization_code"},
		{"refresh token from nowhere", func(c *client) {
			machine(c)
			c.Grants = append(c.Grants, oidc.GrantRefreshToken)
		}, "needs one that a refresh token comes from"},
		{"public machine", func(c *client) { machine(c); c.SecretHash = "" }, "needs a client that proves who it is"},
		{"exchange without audiences", func(c *client) { c.Grants = []string{oidc.GrantAuthorizationCode, oidc.GrantTokenExchange} }, "needs the audiences"},
		{"audiences without an exchange", func(c *client) { c.Audiences = []string{"a"} }, "audiences are for the grant token_exchange"},
		{"audience of spaces", func(c *client) {
			c.Grants, c.Audiences = []string{oidc.GrantAuthorizationCode, oidc.GrantTokenExchange}, []string{"a b"}
		}, `audience "a b"`},
		{"audience twice", func(c *client) {
			c.Grants, c.Audiences = []string{oidc.GrantAuthorizationCode, oidc.GrantTokenExchange}, []string{"a", "a"}
		}, "given twice"},

		{"addresses", func(c *client) {
			c.PostLogoutRedirectURIs = []string{"https://app.example.com/bye", "http://localhost:8000/bye"}
			c.BackChannelLogoutURI = "https://app.example.com/logout"
			c.Origins = []string{"https://app.example.com", "http://localhost:3000", "https://app.example.com:8443"}
		}, ""},
		{"post-logout http", func(c *client) { c.PostLogoutRedirectURIs = []string{"http://app.example.com/"} }, "post-logout redirect URI \"http://app.example.com/\" is http"},
		{"post-logout for nobody", func(c *client) {
			machine(c)
			c.PostLogoutRedirectURIs = []string{"https://app.example.com/"}
		}, "post-logout redirect URIs are for the grant authorization_code"},
		{"back-channel app", func(c *client) { c.BackChannelLogoutURI = "com.example.app:/logout" }, "must be https"},
		{"back-channel fragment", func(c *client) { c.BackChannelLogoutURI = "https://app.example.com/#x" }, "has a fragment"},
		{"every origin", func(c *client) { c.Origins = []string{"*"} }, "name each one"},
		{"no origin", func(c *client) { c.Origins = []string{"null"} }, "name each one"},
		{"origin with a path", func(c *client) { c.Origins = []string{"https://app.example.com/"} }, "nothing after it"},
		{"origin http", func(c *client) { c.Origins = []string{"http://app.example.com"} }, "is http"},
		{"origin in capitals", func(c *client) { c.Origins = []string{"https://App.example.com"} }, "capital letters"},
		{"origin with the usual port", func(c *client) { c.Origins = []string{"https://app.example.com:443"} }, "the usual port"},
		{"origin of an extension", func(c *client) { c.Origins = []string{"chrome-extension://abc"} }, "has the scheme chrome-extension"},

		{"machine without openid", func(c *client) { machine(c); c.Scopes = oidc.Scopes{"groups"} }, ""},
		{"consent", func(c *client) { c.Consent = "always" }, ""},
		{"unknown consent", func(c *client) { c.Consent = "sometimes" }, `unknown consent "sometimes"; known are always and never`},
		{"a source without a name", func(c *client) { c.Sources = []string{""} }, "a source needs a name"},

		{"lifetimes", func(c *client) {
			c.Lifetimes = clientregistry.Lifetimes{IDToken: time.Minute, AccessToken: time.Second, RefreshIdle: time.Hour, RefreshAbsolute: time.Hour}
		}, ""},
		{"longer than a key is published", func(c *client) { c.Lifetimes.AccessToken = 25 * time.Hour }, "24 hours at the most"},
		{"negative", func(c *client) { c.Lifetimes.IDToken = -time.Second }, "the lifetime of the ID token must be a second or more"},
		{"crossed", func(c *client) {
			c.Lifetimes = clientregistry.Lifetimes{RefreshIdle: 2 * time.Hour, RefreshAbsolute: time.Hour}
		}, "refresh_idle is longer than refresh_absolute"},

		{"groups", func(c *client) {
			c.GroupsClaim, c.GroupsFilter, c.GroupsPrefix = "roles", "team-[a-z]+|admins", "corp:"
		}, ""},
		{"groups filter", func(c *client) { c.GroupsFilter = "(" }, `groups filter "("`},
		{"groups filter that leaves its parentheses", func(c *client) { c.GroupsFilter = "a)|(b" }, "groups filter"},
		{"long groups filter", func(c *client) { c.GroupsFilter = strings.Repeat("a", 1025) }, "at most 1024 bytes"},
		{"groups prefix of Kubernetes", func(c *client) { c.GroupsPrefix = "system:" }, "which Kubernetes keeps for itself"},
		{"groups prefix of control characters", func(c *client) { c.GroupsPrefix = "a\n" }, "no control characters"},

		{"claims", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{
				"tenant": {Value: json.RawMessage(`{"id":1}`)}, "department": {Attribute: "ou"}, "https://example.com/team": {Expression: "user.groups"},
			}
		}, ""},
		{"claim of the protocol", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"SUB": {Value: json.RawMessage(`"root"`)}}
		}, `claim "SUB" belongs to the protocol`},
		{"claim that leads elsewhere", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"_claim_sources": {Value: json.RawMessage(`{}`)}}
		}, "send readers of the token elsewhere"},
		{"claim without a source", func(c *client) { c.Claims = map[string]clientregistry.Claim{"a": {}} }, `claim "a" needs one of value, attribute and expression`},
		{"claim of two sources", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"a": {Attribute: "x", Expression: "user.name"}}
		}, "needs one of"},
		{"claim without a name", func(c *client) { c.Claims = map[string]clientregistry.Claim{"": {Attribute: "x"}} }, "a claim needs a name"},
		{"claim that is no JSON", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"a": {Value: json.RawMessage(`{`)}}
		}, "no JSON"},
		{"large claim", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"a": {Value: json.RawMessage(`"` + strings.Repeat("a", 9000) + `"`)}}
		}, "more than 8192 bytes"},
		{"wrong expression", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{"team": {Expression: "user.group"}}
		}, `claim "team": the expression is wrong at 1:5: undeclared reference to 'user.group'`},
		{"too many claims", func(c *client) {
			c.Claims = map[string]clientregistry.Claim{}
			for n := range 65 {
				c.Claims[fmt.Sprint(n)] = clientregistry.Claim{Attribute: "x"}
			}
		}, "at most 64 claims"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client{ID: "kubernetes", RedirectURIs: []string{"http://localhost:8000"}}
			test.change(&c)
			err := c.Validate()
			if test.want == "" && err != nil {
				t.Errorf("got %v, want it accepted", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestWhatAClientMayDo(t *testing.T) {
	t.Parallel()
	usual := clientregistry.Client{}
	if !usual.AllowsGrant("authorization_code") || !usual.AllowsGrant("refresh_token") || usual.AllowsGrant("password") || usual.AllowsGrant("") {
		t.Error("by default: want the grants of a login in a browser and no others")
	}
	if !usual.AllowsSource("ldap") || !usual.AllowsSource("") || usual.AllowsOrigin("") || usual.AllowsOrigin("https://a.example") {
		t.Error("by default: want every source and no origin")
	}
	limited := clientregistry.Client{
		Grants: []string{"client_credentials"}, Sources: []string{"ldap"}, Origins: []string{"https://a.example"},
		PostLogoutRedirectURIs: []string{"https://a.example/bye", "http://localhost:1/bye"},
	}
	if limited.AllowsGrant("authorization_code") || !limited.AllowsGrant("client_credentials") || limited.AllowsSource("local") || !limited.AllowsSource("ldap") ||
		!limited.AllowsOrigin("https://a.example") || limited.AllowsOrigin("https://a.example:8443") {
		t.Error("want what is named, and nothing else")
	}
	for uri, want := range map[string]bool{
		"https://a.example/bye": true, "https://a.example/bye/": false, "https://a.example/": false, "": false,
		"http://localhost:18000/bye": true, "http://localhost:1/": false,
	} {
		if limited.AllowsPostLogoutRedirectURI(uri) != want {
			t.Errorf("after a logout to %q: want %v", uri, want)
		}
	}
	for name, want := range map[string]string{
		"device_code": "urn:ietf:params:oauth:grant-type:device_code", "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange", "password": "password",
	} {
		if got := clientregistry.GrantType(name); got != want || clientregistry.ShortGrantType(got) != name {
			t.Errorf("%s: got %s, and back %s", name, got, clientregistry.ShortGrantType(got))
		}
	}
}

func TestGroupsFilterMatchesTheWhole(t *testing.T) {
	t.Parallel()
	filter, err := clientregistry.CompileGroupsFilter("team-[a-z]+|admins")
	if err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]bool{"team-a": true, "admins": true, "xteam-a": false, "team-a1": false, "admins\nx": false, "": false} {
		if filter.MatchString(group) != want {
			t.Errorf("%q: want %v", group, want)
		}
	}
}

func TestReadKeySet(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	self, _ := certificate(t, nil, nil)
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: "one"})
	if err != nil {
		t.Fatal(err)
	}
	privateJWK, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "one"})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text   string
		method clientregistry.Method
		want   string // part of the error of reading or checking; empty: it is good
	}{
		"JWK Set":          {"\n" + string(keySet(t, key.Public())), "private_key_jwt", ""},
		"JWK":              {string(jwk), "private_key_jwt", ""},
		"PEM key":          {"some words before\n" + block("PUBLIC KEY", public), "private_key_jwt", ""},
		"PEM keys":         {block("PUBLIC KEY", public) + block("CERTIFICATE", self.Raw), "private_key_jwt", ""},
		"PEM certificate":  {block("CERTIFICATE", self.Raw), "self_signed_tls_client_auth", ""},
		"private JWK":      {string(privateJWK), "private_key_jwt", "private or secret"},
		"private PEM":      {block("PRIVATE KEY", pkcs8), "private_key_jwt", "it is a PRIVATE KEY, and only PUBLIC KEY and CERTIFICATE belong here"},
		"damaged PEM":      {block("PUBLIC KEY", public[1:]), "private_key_jwt", "reading the public keys"},
		"nothing":          {"", "private_key_jwt", "neither a JWK Set nor PEM"},
		"something else":   {"hello", "private_key_jwt", "neither a JWK Set nor PEM"},
		"an object":        {"{}", "private_key_jwt", "no JWK that can be read"},
		"too much":         {strings.Repeat(" ", 40<<10), "private_key_jwt", "more than 32768 bytes"},
		"no certificate":   {block("PUBLIC KEY", public), "self_signed_tls_client_auth", "needs its certificate"},
		"JWK Set of words": {`{"keys":["a"]}`, "private_key_jwt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := clientregistry.ReadKeySet([]byte(test.text))
			if err == nil {
				err = clientregistry.Client{ID: "a", RedirectURIs: []string{"http://localhost"}, Authentication: test.method, JWKS: keys}.Validate()
			}
			switch {
			case name == "JWK Set of words":
				if err == nil {
					t.Error("got no error")
				}
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Whatever stands in a file of keys: it is read or refused, and what is read
// and found good holds no private key.
func FuzzKeySet(f *testing.F) {
	key := newKey(f)
	f.Add([]byte(keySet(f, key.Public())))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"","y":"","d":"AA"}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := clientregistry.ReadKeySet(text)
		if err != nil {
			return
		}
		c := clientregistry.Client{ID: "a", RedirectURIs: []string{"http://localhost"}, Authentication: "private_key_jwt", JWKS: keys}
		if c.Validate() != nil {
			return
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(keys, &set); err != nil {
			return // a member of it is newer than this reader
		}
		for _, key := range set.Keys {
			if !key.IsPublic() {
				t.Errorf("%q was taken, and holds a private key", text)
			}
		}
	})
}

func TestSubjectNames(t *testing.T) {
	t.Parallel()
	named := func(change func(*x509.Certificate)) *x509.Certificate {
		made, _ := certificate(t, change, nil)
		return made
	}
	plain := named(func(c *x509.Certificate) { c.EmailAddresses = []string{"ci@example.com"} })
	odd := named(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: ` a,b+c"=#\é `, Country: []string{"CH"}, ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{1, 2, 3}, Value: "x"}}}
	})
	for _, test := range []struct {
		text        string
		certificate *x509.Certificate
		want        bool
		bad         bool
	}{
		{"CN=ci,O=Example", plain, true, false},
		{"cn=ci, o=Example", plain, true, false},
		{"2.5.4.3=ci,2.5.4.10=Example", plain, true, false},
		{`CN=\63\69,O=Example`, plain, true, false},
		{"CN=CI,O=Example", plain, false, false},
		{"O=Example,CN=ci", plain, false, false},
		{"CN=ci", plain, false, false},
		{"CN=ci+O=Example", plain, false, false},
		{"dns:ci.example.com", plain, true, false},
		{"dns:example.com", plain, false, false},
		{"email:ci@example.com", plain, true, false},
		{"email:CI@example.com", plain, false, false},
		{"ip:192.0.2.1", plain, false, false},
		{"uri:spiffe://example.com/ci", plain, false, false},
		{"uri:spiffe://example.com/ci", named(func(c *x509.Certificate) { c.URIs = parseURIs(t, "spiffe://example.com/ci") }), true, false},
		{"ip:2001:db8::1", named(func(c *x509.Certificate) { c.IPAddresses = parseIPs("2001:DB8::1") }), true, false},
		{`1.2.3=x,CN=\ a\,b\+c\"\=\#\\é\ ,C=CH`, odd, true, false},
		{`1.2.3=x,CN=\20a\2cb\2Bc\22\3D\23\5C\C3\A9\20,C=CH`, odd, true, false},

		{"", nil, false, true},
		{"ci", nil, false, true},
		{"CN=", nil, false, true},
		{"CN=a,", nil, false, true},
		{"CN=a+", nil, false, true},
		{"=a", nil, false, true},
		{"FAVORITE=a", nil, false, true},
		{`CN="a"`, nil, false, true},
		{"CN=a;O=b", nil, false, true},
		{"CN=#0c0161", nil, false, true},
		{`CN=a\`, nil, false, true},
		{`CN=a\x`, nil, false, true},
		{`CN=\ff`, nil, false, true},
		{"dns:", nil, false, true},
		{"dns:*.example.com", nil, false, true},
		{"ip:localhost", nil, false, true},
		{"email:ci", nil, false, true},
		{"uri:ci", nil, false, true},
	} {
		t.Run(test.text, func(t *testing.T) {
			got, err := clientregistry.HasSubject(test.certificate, test.text)
			if (err != nil) != test.bad || got != test.want {
				t.Errorf("got %v, %v; want %v, an error = %v", got, err, test.want, test.bad)
			}
		})
	}
}

func parseURIs(t *testing.T, texts ...string) (uris []*url.URL) {
	t.Helper()
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		uris = append(uris, u)
	}
	return uris
}

func parseIPs(texts ...string) (ips []net.IP) {
	for _, text := range texts {
		ips = append(ips, net.ParseIP(text))
	}
	return ips
}

// Whatever is written as a name: it is read or refused, and it matches no
// certificate whose name does not stand in it.
func FuzzSubjectName(f *testing.F) {
	for _, text := range []string{"CN=ci,O=Example", `CN=a\,b+OU=c\20`, "1.2.3=x", "dns:a", "CN=#00", `\\`, "=,=+="} {
		f.Add(text)
	}
	made, _ := certificate(f, nil, nil)
	f.Fuzz(func(t *testing.T, text string) {
		matches, err := clientregistry.HasSubject(made, text)
		if matches && (err != nil || !strings.Contains(strings.ToLower(text), "ci") && !strings.Contains(text, `\`)) {
			t.Errorf("%q matches %v", text, made.Subject)
		}
	})
}
