// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
)

func TestNumericDate(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       time.Time
		bad        bool
	}{
		{"RFC 7519, section 3.1", "1300819380", time.Unix(1300819380, 0), false},
		{"zero", "0", time.Unix(0, 0), false},
		{"before 1970", "-1", time.Unix(-1, 0), false},
		{"fraction", "1300819380.5", time.Unix(1300819380, 5e8), false},
		{"fraction before 1970", "-1.5", time.Unix(-1, -5e8), false},
		{"exponent", "1.3e9", time.Unix(1300000000, 0), false},
		{"as a float of JavaScript", "1.30081938E9", time.Unix(1300819380, 0), false},
		{"the last second of 9999", "253402300799", time.Unix(253402300799, 0), false},
		{"the year 10000", "253402300800", time.Time{}, true},
		{"milliseconds", "1300819380000", time.Time{}, true},
		{"huge", "1e308", time.Time{}, true},
		{"beyond a float", "1e999", time.Time{}, true},
		{"minus huge", "-1e300", time.Time{}, true},
		{"string", `"1300819380"`, time.Time{}, true},
		{"text", `"2011-03-22T18:43:00Z"`, time.Time{}, true},
		{"boolean", "true", time.Time{}, true},
		{"list", "[1]", time.Time{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got oidc.NumericDate
			err := json.Unmarshal([]byte(test.text), &got)
			if (err != nil) != test.bad || !got.Equal(test.want) {
				t.Errorf("got %v, %v; want %v, an error = %v", got, err, test.want, test.bad)
			}
		})
	}
	for _, at := range []time.Time{time.Unix(1300819380, 999_999_999), time.Unix(0, 0), time.Unix(-5, 0)} {
		text, err := json.Marshal(oidc.Date(at))
		if err != nil || strings.ContainsAny(string(text), `."eE`) {
			t.Errorf("%v: got %s, %v; want an integer", at, text, err)
		}
	}
}

func TestAudience(t *testing.T) {
	for _, test := range []struct {
		text string
		want oidc.Audience
		bad  bool
	}{
		{`"kubernetes"`, oidc.Audience{"kubernetes"}, false},
		{`["kubernetes"]`, oidc.Audience{"kubernetes"}, false},
		{`["a","b"]`, oidc.Audience{"a", "b"}, false},
		{`[]`, oidc.Audience{}, false},
		{`""`, oidc.Audience{""}, false},
		{`null`, nil, false},
		{`1`, nil, true},
		{`[1]`, nil, true},
		{`[["a"]]`, nil, true},
		{`{"a":1}`, nil, true},
	} {
		t.Run(test.text, func(t *testing.T) {
			var got oidc.Audience
			err := json.Unmarshal([]byte(test.text), &got)
			if (err != nil) != test.bad {
				t.Fatalf("got %v, %v; want an error = %v", got, err, test.bad)
			}
			if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err == nil && got.Has("kuber") {
				t.Error("a part of a name is no name")
			}
		})
	}
	for want, audience := range map[string]oidc.Audience{`"a"`: {"a"}, `["a","b"]`: {"a", "b"}, `[]`: {}} {
		if got, err := json.Marshal(audience); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	if !(oidc.Audience{"a", "b"}).Has("b") || (oidc.Audience{}).Has("") {
		t.Error("Has: want b found and nothing in an empty list")
	}
}

func TestClaimsTravel(t *testing.T) {
	want := oidc.Claims{
		Issuer: "https://id.example.com", Subject: "alice-1", Audience: oidc.Audience{"kubernetes"},
		Expiry: oidc.Date(time.Unix(1300819380, 0)), IssuedAt: oidc.Date(time.Unix(1300818480, 0)),
		Nonce: `"<&>`, TokenID: "j", SessionID: "s", AccessTokenHash: "h", AuthorizedParty: "kubernetes",
		Other: map[string]any{
			"email": "a@example.com", "email_verified": true, "cognito:groups": []any{"x", "y"},
			"nested": map[string]any{"iss": "inside"}, "big": json.Number("12345678901234567890"),
			"https://example.com/roles": []any{},
		},
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got oidc.Claims
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", text, diff)
	}
	for _, absent := range []string{"nbf", "auth_time"} {
		if strings.Contains(string(text), absent) {
			t.Errorf("got %s, want no %s", text, absent)
		}
	}
}

func TestClaimsWithoutOthers(t *testing.T) {
	for _, other := range []map[string]any{nil, {}} {
		text, err := json.Marshal(oidc.Claims{Issuer: "i", Subject: "s", Audience: oidc.Audience{"a"}, Other: other})
		if want := `{"iss":"i","sub":"s","aud":"a"}`; err != nil || string(text) != want {
			t.Errorf("got %s, %v; want %s", text, err, want)
		}
	}
}

func TestClaimsRefuseCollisions(t *testing.T) {
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "auth_time", "nonce", "azp", "at_hash", "c_hash", "jti", "sid", "acr", "amr"} {
		if text, err := json.Marshal(oidc.Claims{Other: map[string]any{name: "x", "email": "e"}}); err == nil {
			t.Errorf("%s: got %s, want an error", name, text)
		}
	}
}

// Many JSON readers, Go's and with it the API server's among them, take a
// member in another case for the one that they look for. A groups claim named
// "SUB" would become the subject.
func TestClaimsRefuseCollisionsInAnotherCase(t *testing.T) {
	for _, name := range []string{"SUB", "Iss", "aUd", "EXP", "Nonce", "At_Hash"} {
		if !oidc.IsProtocolClaim(name) {
			t.Errorf("%s: got a name that a deployment may use, want it kept", name)
		}
		if text, err := json.Marshal(oidc.Claims{Other: map[string]any{name: "x"}}); err == nil {
			t.Errorf("%s: got %s, want an error", name, text)
		}
	}
}

// A claim of another name must not be read as one of the protocol's. JSON
// member names are compared by code point (RFC 7519, section 7.3).
func TestClaimsAreReadByTheirExactNames(t *testing.T) {
	var got oidc.Claims
	err := json.Unmarshal([]byte(`{"iss":"https://id.example.com","sub":"alice","aud":"a","SUB":"mallory","Iss":"https://evil.example","AUD":["b"]}`), &got)
	if err == nil && (got.Subject != "alice" || got.Issuer != "https://id.example.com" || !got.Audience.Has("a")) {
		t.Errorf("got sub %q, iss %q, aud %q; want those of the exact names, or an error", got.Subject, got.Issuer, got.Audience)
	}
}

func TestClaimsRefuseWhatIsNoObject(t *testing.T) {
	for _, text := range []string{`null`, `[]`, `"a"`, `1`, `{"iss":1}`, `{"sub":["a"]}`, `{"exp":"x"}`, `{"aud":{}}`, `{`} {
		var got oidc.Claims
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: got %+v, want an error", text, got)
		}
	}
}

func TestIsProtocolClaim(t *testing.T) {
	for _, name := range []string{"groups", "email", "cognito:groups", "", "issuer"} {
		if oidc.IsProtocolClaim(name) {
			t.Errorf("%q: got true, want false", name)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(`{"iss":"https://id.example.com","sub":"s","aud":["a","b"],"exp":1300819380.25,"groups":["x"]}`)
	f.Add(`{"aud":"a","nested":{"iss":[1,{"a":null}]},"big":1e400}`)
	f.Add(`{"exp":253402300799,"nbf":-1e9}`)
	f.Add(`{"":"","\u0000":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		var first, second oidc.Claims
		if json.Unmarshal([]byte(text), &first) != nil {
			return
		}
		for name := range first.Other {
			if oidc.IsProtocolClaim(name) {
				t.Errorf("%q stands among the others", name)
			}
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("writing what was read: %v", err)
		}
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatalf("reading %s again: %v", again, err)
		}
		// Fractions of seconds are dropped on the way out, and a zero date
		// cannot be told from an absent one.
		for _, pair := range [][2]*oidc.NumericDate{{&first.Expiry, &second.Expiry}, {&first.NotBefore, &second.NotBefore}, {&first.IssuedAt, &second.IssuedAt}, {&first.AuthTime, &second.AuthTime}} {
			if math.Abs(pair[0].Sub(pair[1].Time).Seconds()) >= 1 {
				t.Errorf("%s: got %v, want %v", again, pair[1], pair[0])
			}
			*pair[0], *pair[1] = oidc.NumericDate{}, oidc.NumericDate{}
		}
		if !reflect.DeepEqual(first.Other, second.Other) && (len(first.Other) > 0 || len(second.Other) > 0) {
			t.Errorf("the others changed: %v, %v", first.Other, second.Other)
		}
		if first.Subject != second.Subject || first.Issuer != second.Issuer || len(first.Audience) != len(second.Audience) {
			t.Errorf("%s: got %+v, want %+v", again, second, first)
		}
	})
}
