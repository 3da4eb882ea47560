// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// stage is a provider of which each answer can be replaced. It keeps no rules:
// whoever shows a code gets tokens.
type stage struct {
	t      testing.TB
	server *httptest.Server
	key    jose.JSONWebKey
	config upstream.OIDCConfig

	mu       sync.Mutex // guards the fields below
	metadata map[string]any
	claims   map[string]any
	answers  map[string]http.HandlerFunc
	tokens   map[string]any // added to the token response
	asked    []string       // METHOD PATH
}

func newStage(t testing.TB, path string) *stage {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, key: jose.JSONWebKey{Key: private, KeyID: "k", Algorithm: "ES256", Use: "sig"}, answers: map[string]http.HandlerFunc{}}
	s.server = httptest.NewTLSServer(s)
	t.Cleanup(s.server.Close)
	issuer := s.server.URL + path
	base := strings.TrimSuffix(issuer, "/")
	s.metadata = map[string]any{
		"issuer": issuer, "authorization_endpoint": base + "/auth?p=policy", "token_endpoint": base + "/token", "jwks_uri": base + "/keys",
		"userinfo_endpoint": base + "/userinfo", "id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"},
		"scopes_supported": []string{"openid", "groups", "offline_access"},
	}
	now := time.Now()
	s.claims = map[string]any{
		"iss": issuer, "aud": "tegata", "sub": "4711", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"preferred_username": "alice", "name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []string{"dev"},
	}
	s.tokens = map[string]any{}
	s.config = upstream.OIDCConfig{
		Name: "corp", Issuer: oidc.Issuer(issuer), ClientID: "tegata", ClientSecret: secret.New(clientSecret),
		TLS: trust(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})),
	}
	return s
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/'):]
	s.asked = append(s.asked, r.Method+" "+path)
	if answer := s.answers[path]; answer != nil {
		answer(w, r)
		return
	}
	switch path {
	case "/openid-configuration":
		reply(w, s.metadata)
	case "/keys":
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.key.Public()}})
	case "/token":
		response := map[string]any{"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 3600, "id_token": s.sign(s.claims)}
		maps.Copy(response, s.tokens)
		reply(w, response)
	case "/userinfo":
		reply(w, map[string]any{"sub": s.claims["sub"]})
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // a test's peer
}

func (s *stage) sign(claims map[string]any) string {
	return s.signAs(claims, (&jose.SignerOptions{}).WithType("JWT"))
}

func (s *stage) signAs(claims map[string]any, options *jose.SignerOptions) string {
	return s.signedBy(jose.ES256, claims, options)
}

func (s *stage) signWith(algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	return s.signedBy(algorithm, claims, nil)
}

func (s *stage) signedBy(algorithm jose.SignatureAlgorithm, claims map[string]any, options *jose.SignerOptions) string {
	key := s.key
	key.Algorithm = "" // what it is published for is another matter
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// logIn goes around without a browser.
func (s *stage) logIn(source *upstream.OIDC) (identity.User, upstream.Tokens, error) {
	_, attempt, err := source.Begin(s.t.Context(), upstream.Login{RedirectURI: callbackURI, State: "our state"})
	if err != nil {
		return identity.User{}, upstream.Tokens{}, err
	}
	s.mu.Lock()
	s.claims["nonce"] = attempt.Nonce
	s.mu.Unlock()
	return source.Finish(s.t.Context(), callbackURI, attempt, url.Values{"code": {"the-code"}})
}

func (s *stage) count(what string) (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, asked := range s.asked {
		if asked == what {
			count++
		}
	}
	return count
}

func TestHostileProvider(t *testing.T) {
	t.Parallel()
	unsigned := func(claims map[string]any) string {
		text, err := json.Marshal(claims)
		if err != nil {
			panic(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(text) + "."
	}
	for _, test := range []struct {
		name   string
		change func(*stage)
		want   string
	}{
		{"unsigned", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": unsigned(s.claims)})
			}
		}, "no JWT that is signed"},
		{"signed with the client secret", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				s.key.Key = []byte(clientSecret + clientSecret)
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": s.signWith(jose.HS256, s.claims)})
			}
		}, "no JWT that is signed"},
		{"only symmetric algorithms", func(s *stage) {
			s.metadata["id_token_signing_alg_values_supported"] = []string{"HS256", "none"}
		}, "have it use RS256 or ES256"},
		{"an access token as ID token", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": s.signAs(s.claims, (&jose.SignerOptions{}).WithType("at+jwt"))})
			}
		}, `of the type "at+jwt"`},
		{"its own key in the header", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					panic(err)
				}
				other := stage{t: s.t, key: jose.JSONWebKey{Key: private}}
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": other.signAs(s.claims, &jose.SignerOptions{EmbedJWK: true})})
			}
		}, "signature of the ID token is wrong"},
		{"a body without end", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
				for range 1 << 10 {
					if _, err := fmt.Fprint(w, strings.Repeat(" ", 4<<10)); err != nil {
						return
					}
				}
			}
		}, "answered with more than 1048576 bytes"},
		{"keys without end", func(s *stage) {
			s.answers["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"keys":[%s]}`, strings.Repeat("{},", 300)+"{}")
			}
		}, "at most 200 are read"},
		{"a redirect of the token endpoint", func(s *stage) {
			s.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		}, "redirects are not followed"},
		{"a redirect of the metadata", func(s *stage) {
			s.answers["/openid-configuration"] = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
			}
		}, "redirects are not followed"},
		{"an endpoint without TLS", func(s *stage) { s.metadata["token_endpoint"] = "http://id.example.com/token" }, "without https"},
		{"an endpoint that is a file", func(s *stage) { s.metadata["jwks_uri"] = "file:///etc/passwd" }, "no address"},
		{"no endpoint", func(s *stage) { delete(s.metadata, "token_endpoint") }, "is this an OpenID Provider?"},
		{"a token of another kind", func(s *stage) { s.tokens["token_type"] = "DPoP" }, "which we cannot use"},
		{"userinfo of somebody else", func(s *stage) {
			delete(s.claims, "groups")
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "1", "groups": []string{"admins"}})
			}
		}, "another user"},
		{"userinfo as a JWT", func(s *stage) {
			delete(s.claims, "groups")
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/jwt") }
		}, "turn off signed userinfo answers"},
		{"userinfo that fails", func(s *stage) {
			delete(s.claims, "groups")
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }
		}, "502 Bad Gateway"},
		{"no user name", func(s *stage) { delete(s.claims, "preferred_username"); s.claims["email_verified"] = false }, "claims.username"},
		{"an address for a name, not verified", func(s *stage) { s.config.Claims.Username = "email"; s.claims["email_verified"] = "false" }, "assume_email_verified"},
		{"an object for an ID", func(s *stage) { s.config.Claims.ID = "name"; s.claims["name"] = map[string]any{} }, "neither a text nor a whole number"},
		{"groups elsewhere", func(s *stage) { s.claims["_claim_names"] = map[string]any{"groups": "src1"} }, "set group_overage.endpoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "")
			test.change(s)
			if _, _, err := s.logIn(newOIDC(t, s.config)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if s.count("POST /elsewhere") > 0 {
				t.Error("the code and the secret went elsewhere")
			}
		})
	}
}

// Issuers with a path, such as Dex has them, and with a slash at the end, such
// as Auth0 has them; an authorization endpoint with a query, as Azure B2C has.
func TestIssuersOfAllShapes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/dex", "/realms/corp/"} {
		s := newStage(t, path)
		source := newOIDC(t, s.config)
		user, _, err := s.logIn(source)
		if err != nil || user.Subject != "corp:4711" {
			t.Errorf("%s: got %q, %v", path, user.Subject, err)
		}
		address, _, err := source.Begin(t.Context(), upstream.Login{RedirectURI: callbackURI})
		if err != nil || !strings.Contains(address, "/auth?") || !strings.Contains(address, "p=policy") || !strings.Contains(address, "groups+offline_access") {
			t.Errorf("%s: got the address %s, %v", path, address, err)
		}
	}
}

func TestClaimMapping(t *testing.T) {
	t.Parallel()
	base := identity.User{
		Subject: "corp:4711", Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "Alice", Groups: []string{"dev"}, Source: "corp",
	}
	for _, test := range []struct {
		name   string
		change func(*stage, *identity.User)
	}{
		{"as it is", func(*stage, *identity.User) {}},
		{"Keycloak's roles", func(s *stage, u *identity.User) {
			s.config.Claims.Groups = "realm_access.roles"
			s.claims["realm_access"] = map[string]any{"roles": []string{"b", "a", "b", ""}}
			u.Groups = []string{"a", "b"}
		}},
		{"a client with a dot", func(s *stage, u *identity.User) {
			s.config.Claims.Groups = "resource_access.my.client.roles"
			s.claims["resource_access"] = map[string]any{"my.client": map[string]any{"roles": []string{"r"}}}
			u.Groups = []string{"r"}
		}},
		{"a claim that is an address", func(s *stage, u *identity.User) {
			s.config.Claims.Groups = "https://example.com/groups"
			s.claims["https://example.com/groups"] = []string{"g"}
			u.Groups = []string{"g"}
		}},
		{"Cognito", func(s *stage, u *identity.User) {
			s.config.Claims = upstream.Claims{Username: "cognito:username", Groups: "cognito:groups"}
			s.claims["cognito:username"], s.claims["cognito:groups"], s.claims["email_verified"] = "bob", []string{"p"}, "true"
			u.Username, u.Groups = "bob", []string{"p"}
		}},
		{"one group as a text", func(s *stage, u *identity.User) { s.claims["groups"] = "ops"; u.Groups = []string{"ops"} }},
		{"no groups", func(s *stage, u *identity.User) { delete(s.claims, "groups"); u.Groups = nil }},
		{"a number for an ID", func(s *stage, u *identity.User) {
			s.config.Claims.ID, s.claims["uid"], u.Subject = "uid", 12345678901234567, "corp:12345678901234567"
		}},
		{"the address for a name", func(s *stage, u *identity.User) {
			delete(s.claims, "preferred_username")
			u.Username = "alice@example.com"
		}},
		{"nothing said of the address", func(s *stage, u *identity.User) { delete(s.claims, "email_verified"); u.EmailVerified = false }},
		{"assumed", func(s *stage, u *identity.User) {
			delete(s.claims, "email_verified")
			s.config.AssumeEmailVerified = true
		}},
		{"assumed, and denied", func(s *stage, u *identity.User) {
			s.claims["email_verified"], s.config.AssumeEmailVerified, u.EmailVerified = false, true, false
		}},
		{"attributes", func(s *stage, u *identity.User) {
			s.config.Attributes = []string{"department", "tid", "missing"}
			s.claims["department"], s.claims["tid"] = []string{"z", "y"}, "t"
			u.Attributes = map[string][]string{"department": {"y", "z"}, "tid": {"t"}}
		}},
		{"what the ID token lacks", func(s *stage, u *identity.User) {
			delete(s.claims, "groups")
			s.answers["/userinfo"] = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer the-access-token" {
					http.Error(w, "", http.StatusUnauthorized)
				}
				reply(w, map[string]any{"sub": "4711", "groups": []string{"fromuserinfo"}, "name": "Another"})
			}
			u.Groups = []string{"fromuserinfo"}
		}},
		{"userinfo before all", func(s *stage, u *identity.User) {
			s.config.Userinfo = upstream.UserinfoAlways
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "groups": []string{"fromuserinfo"}})
			}
			u.Groups = []string{"fromuserinfo"}
		}},
		{"an address, and another one that is verified", func(s *stage, u *identity.User) {
			delete(s.claims, "groups")
			delete(s.claims, "email_verified")
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "email": "alice@home.example", "email_verified": true})
			}
			u.Groups, u.EmailVerified = nil, false
		}},
		{"another address before all, of which nothing is said", func(s *stage, u *identity.User) {
			s.config.Userinfo = upstream.UserinfoAlways
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "email": "ceo@example.com"})
			}
			u.Email, u.EmailVerified = "ceo@example.com", false
		}},
		{"verified before all, but no address", func(s *stage, u *identity.User) {
			s.config.Userinfo = upstream.UserinfoAlways
			s.claims["email_verified"] = false
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "email": nil, "email_verified": true})
			}
			u.EmailVerified = false
		}},
		{"an address that only userinfo tells", func(s *stage, u *identity.User) {
			s.config.Claims = upstream.Claims{Email: "contact.mail", EmailVerified: "contact.verified"}
			s.claims["contact"] = map[string]any{"verified": false}
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "contact": map[string]any{"mail": "alice@example.com", "verified": true}})
			}
		}},
		{"userinfo never", func(s *stage, u *identity.User) {
			s.config.Userinfo = upstream.UserinfoNever
			delete(s.claims, "groups")
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
			u.Groups = nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, want := newStage(t, ""), base
			test.change(s, &want)
			got, _, err := s.logIn(newOIDC(t, s.config))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoMayCome(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*stage)
		allow  bool
	}{
		{"in the group", func(s *stage) { s.config.AllowedGroups = []string{"ops", "dev"} }, true},
		{"in another group", func(s *stage) { s.config.AllowedGroups = []string{"ops"} }, false},
		{"in no group", func(s *stage) { s.config.AllowedGroups = []string{"ops"}; delete(s.claims, "groups") }, false},
		{"of the domain", func(s *stage) { s.config.AllowedEmailDomains = []string{"EXAMPLE.com"} }, true},
		{"of a domain below", func(s *stage) {
			s.config.AllowedEmailDomains = []string{"example.com"}
			s.claims["email"] = "a@sub.example.com"
		}, false},
		{"of two domains", func(s *stage) {
			s.config.AllowedEmailDomains = []string{"example.com"}
			s.claims["email"] = "a@example.com@evil.example"
		}, false},
		{"of the domain, not verified", func(s *stage) {
			s.config.AllowedEmailDomains = []string{"example.com"}
			s.claims["email_verified"] = false
		}, false},
		{"of the organization", func(s *stage) { s.config.HostedDomains = []string{"example.com"}; s.claims["hd"] = "example.com" }, true},
		{"of another organization", func(s *stage) { s.config.HostedDomains = []string{"example.com"}; s.claims["hd"] = "evil.example" }, false},
		{"of no organization", func(s *stage) { s.config.HostedDomains = []string{"example.com"} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "")
			test.change(s)
			_, _, err := s.logIn(newOIDC(t, s.config))
			refused, ok := errors.AsType[*upstream.NotAllowedError](err)
			if ok == test.allow || (err == nil) != test.allow {
				t.Fatalf("got %v, want to be let in: %v", err, test.allow)
			}
			if ok && (refused.Reason == "" || !errors.Is(err, identity.ErrNotFound)) {
				t.Errorf("got %v, want a reason, and nobody at a refresh", err)
			}
		})
	}
}

// graph answers as Microsoft Graph does, page by page.
func graph(t *testing.T, s *stage, pages ...string) (endpoint string) {
	t.Helper()
	s.answers["/getMemberObjects"] = func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		page := len(r.URL.Query().Get("$skiptoken"))
		switch {
		case err != nil || r.Header.Get("Authorization") != "Bearer the-access-token":
			http.Error(w, "", http.StatusUnauthorized)
		case page == 0 && (r.Method != http.MethodPost || string(question) != `{"securityEnabledOnly":true}`):
			http.Error(w, string(question), http.StatusBadRequest)
		default:
			fmt.Fprint(w, pages[page])
		}
	}
	return s.server.URL + "/v1.0/me/getMemberObjects"
}

func TestGroupOverage(t *testing.T) {
	t.Parallel()
	next := func(s *stage) string { return s.server.URL + "/v1.0/me/getMemberObjects?$skiptoken=x" }
	for _, test := range []struct {
		name   string
		claims map[string]any
		pages  func(*stage) []string
		groups []string
		want   string // in the error
	}{
		{
			"in two pages",
			map[string]any{"_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://evil.example"}}},
			func(s *stage) []string {
				return []string{`{"value":["b","a"],"@odata.nextLink":"` + next(s) + `"}`, `{"value":["c","a"]}`}
			},
			[]string{"a", "b", "c"},
			"",
		},
		{
			"said in the other way",
			map[string]any{"hasgroups": true},
			func(*stage) []string { return []string{`{"value":[]}`} },
			[]string{},
			"",
		},
		{
			"a page elsewhere",
			map[string]any{"hasgroups": "true"},
			func(*stage) []string {
				return []string{`{"value":["a"],"@odata.nextLink":"https://evil.example/more"}`}
			},
			nil, "which is elsewhere",
		},
		{
			"pages without end",
			map[string]any{"hasgroups": true},
			func(s *stage) []string {
				return []string{`{"value":["a"],"@odata.nextLink":"` + next(s) + `"}`, `{"value":["a"],"@odata.nextLink":"` + next(s) + `"}`}
			},
			nil, "has no end",
		},
		{
			"no list",
			map[string]any{"_claim_names": "groups"},
			func(*stage) []string { return []string{`{"error":"x"}`} }, nil, "no list of groups",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "")
			delete(s.claims, "groups")
			maps.Copy(s.claims, test.claims)
			s.config.GroupOverage = upstream.GroupOverage{Endpoint: graph(t, s, test.pages(s)...), SecurityGroupsOnly: true}
			user, _, err := s.logIn(newOIDC(t, s.config))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(user.Groups, test.groups) {
				t.Errorf("got the groups %q, want %q", user.Groups, test.groups)
			}
		})
	}
}

// What is asked at a refresh when there is not all that one would like.
func TestRefreshWithoutAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		kept   func(*stage, *upstream.Tokens)
		groups []string
		want   string // in the error
		gone   bool
	}{
		{"without a refresh token", func(s *stage, _ *upstream.Tokens) {
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "preferred_username": "alice", "groups": []string{"now"}})
			}
		}, []string{"now"}, "", false},
		{"with an access token that is refused", func(s *stage, _ *upstream.Tokens) {
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusUnauthorized) }
		}, nil, "does not take the access token", true},
		{"with an access token that has expired", func(_ *stage, tokens *upstream.Tokens) {
			tokens.Expiry = time.Now().Add(-time.Second)
		}, nil, "offline_access", false},
		{"with groups that are told no more", func(s *stage, _ *upstream.Tokens) {
			s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": "4711", "preferred_username": "alice"})
			}
		}, nil, "does not tell them now", false},
		{"when Microsoft wants to see the person", func(s *stage, tokens *upstream.Tokens) {
			tokens.RefreshToken = secret.New("r")
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				reply(w, map[string]any{"error": "interaction_required", "error_description": "AADSTS50076"})
			}
		}, nil, "AADSTS50076", true},
		{"of another login's nonce", func(s *stage, tokens *upstream.Tokens) {
			tokens.RefreshToken = secret.New("r")
			s.claims["nonce"] = "theirs"
		}, nil, "nonce", false},
		{"of another user", func(s *stage, tokens *upstream.Tokens) {
			tokens.RefreshToken = secret.New("r")
			s.claims["sub"] = "1"
		}, nil, "another user", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "")
			source := newOIDC(t, s.config)
			_, tokens, err := s.logIn(source)
			if err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			test.kept(s, &tokens)
			s.mu.Unlock()
			user, _, err := source.Refresh(t.Context(), "corp:4711", tokens)
			if errors.Is(err, identity.ErrNotFound) != test.gone || (err == nil) != (test.want == "") {
				t.Fatalf("got %v, want the user gone: %v", err, test.gone)
			}
			if err != nil && !strings.Contains(err.Error(), test.want) || !slices.Equal(user.Groups, test.groups) {
				t.Errorf("got %v and %q, want an error with %q or %q", err, user.Groups, test.want, test.groups)
			}
		})
	}
}

func TestLogOutAtProvidersWithAndWithout(t *testing.T) {
	t.Parallel()
	s := newStage(t, "")
	source := newOIDC(t, s.config)
	_, tokens, err := s.logIn(source)
	if err != nil {
		t.Fatal(err)
	}
	if address, err := source.LogOutURL(t.Context(), tokens, "https://tegata.example.com/", "s"); address != "" || err != nil {
		t.Errorf("without the endpoint: got %q, %v", address, err)
	}
	if err := source.Revoke(t.Context(), tokens); err != nil {
		t.Errorf("without the endpoint: got %v", err)
	}

	s = newStage(t, "")
	s.metadata["end_session_endpoint"], s.metadata["revocation_endpoint"] = s.server.URL+"/bye", s.server.URL+"/revoke"
	revoked := make(chan url.Values, 2)
	s.answers["/revoke"] = func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		revoked <- r.PostForm
	}
	source = newOIDC(t, s.config)
	address, err := source.LogOutURL(t.Context(), tokens, "https://tegata.example.com/", "s")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	want := url.Values{"client_id": {"tegata"}, "id_token_hint": {tokens.IDToken.Reveal()}, "post_logout_redirect_uri": {"https://tegata.example.com/"}, "state": {"s"}}
	if err != nil || cmp.Diff(want, u.Query()) != "" || u.Path != "/bye" {
		t.Errorf("got %s, %v", address, err)
	}
	long := tokens
	long.IDToken = secret.New(strings.Repeat("x", 8<<10))
	if address, err := source.LogOutURL(t.Context(), long, "", ""); err != nil || len(address) > 1000 {
		t.Errorf("an ID token that fits into no address: got %d bytes, %v", len(address), err)
	}
	if err := source.Revoke(t.Context(), tokens); err != nil || (<-revoked).Get("token") != "the-access-token" {
		t.Errorf("revoking the access token: %v", err)
	}
	tokens.RefreshToken = secret.New("the-refresh-token")
	if err := source.Revoke(t.Context(), tokens); err != nil || (<-revoked).Get("token") != "the-refresh-token" {
		t.Errorf("revoking the refresh token: %v", err)
	}
}

// Where the credential must be given again, an answer that says that it was
// not is refused. One that does not say when is taken, as it always was.
func TestCredentialThatMustBeFresh(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fresh   bool
		age     time.Duration // of the credential; 0: nothing is said
		refused bool
	}{
		"old":                  {true, time.Hour, true},
		"old enough":           {false, time.Hour, false},
		"just now":             {true, time.Second, false},
		"said by nobody":       {true, 0, false},
		"a clock that is late": {true, 30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "/fresh")
			source, err := upstream.NewOIDC(s.config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(source.Close)
			_, attempt, err := source.Begin(t.Context(), upstream.Login{RedirectURI: callbackURI, State: "s", Fresh: test.fresh})
			if err != nil {
				t.Fatal(err)
			}
			// The attempt travels sealed, as JSON.
			text, err := json.Marshal(attempt)
			if err != nil {
				t.Fatal(err)
			}
			var back upstream.Attempt
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			s.claims["nonce"] = attempt.Nonce
			if test.age > 0 {
				s.claims["auth_time"] = time.Now().Add(-test.age).Unix()
			}
			s.mu.Unlock()
			_, _, err = source.Finish(t.Context(), callbackURI, back, url.Values{"code": {"c"}})
			if _, refused := errors.AsType[*upstream.NotAllowedError](err); refused != test.refused || err != nil && !refused {
				t.Errorf("got %v, want refused = %v", err, test.refused)
			}
		})
	}
}
