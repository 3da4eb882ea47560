// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package grant_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

func TestRefreshTokenIsRead(t *testing.T) {
	tokens := grant.RefreshTokens{Key: seal.RandomKey()}
	for _, generation := range []int{1, 2, 1_000_000_000} {
		token := tokens.Token("grant-id", generation)
		id, got, ok := tokens.Read(token)
		if !ok || id != "grant-id" || got != generation {
			t.Errorf("got %q, %d, %v; want grant-id, %d", id, got, ok, generation)
		}
		if again := tokens.Token("grant-id", generation); !again.Equal(token) {
			t.Error("the same token computed again is another")
		}
	}
}

func TestRefreshTokenOfSomebodyElseIsRefused(t *testing.T) {
	tokens := grant.RefreshTokens{Key: seal.RandomKey()}
	good := tokens.Token("g", 7).Reveal()
	mac := good[strings.LastIndex(good, ".")+1:]
	for _, test := range []struct{ name, token string }{
		{"empty", ""},
		{"word", "token"},
		{"dots", "..."},
		{"no MAC", "g.7"},
		{"empty MAC", "g.7."},
		{"another generation", "g.8." + mac},
		{"another grant", "h.7." + mac},
		{"no grant", ".7." + mac},
		{"zero", "g.0." + mac},
		{"negative", "g.-7." + mac},
		{"plus", "g.+7." + mac},
		{"leading zero", "g.07." + mac},
		{"hexadecimal", "g.0x7." + mac},
		{"underscore", "g.0_7." + mac},
		{"space", "g. 7." + mac},
		{"beyond an integer", "g.99999999999999999999." + mac},
		{"MAC cut", good[:len(good)-1]},
		{"MAC with a bit more", good + "A"},
		{"padded", good + "="},
		{"line break", good + "\n"},
		{"upper case", strings.ToUpper(good)},
		{"another key's", grant.RefreshTokens{Key: seal.RandomKey()}.Token("g", 7).Reveal()},
		{"generation zero with its MAC", tokens.Token("g", 0).Reveal()},
		{"negative generation with its MAC", tokens.Token("g", -1).Reveal()},
		// The parts must not run together.
		{"dot in the grant", tokens.Token("g.7", 7).Reveal()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if id, generation, ok := tokens.Read(secret.New(test.token)); ok {
				t.Errorf("got %q, %d; want it refused", id, generation)
			}
		})
	}
}

func FuzzRefreshToken(f *testing.F) {
	tokens := grant.RefreshTokens{Key: seal.RandomKey()}
	f.Add("g.7.x")
	f.Add("g.1.")
	f.Add("....")
	f.Fuzz(func(t *testing.T, text string) {
		if id, generation, ok := tokens.Read(secret.New(text)); ok {
			t.Errorf("%q was guessed: %q, %d", text, id, generation)
		}
		// Whatever the ID is, its token is read as it was made or not at all.
		id, generation, ok := tokens.Read(tokens.Token(text, 3))
		if plain := !strings.Contains(text, "."); ok != plain || (ok && (id != text || generation != 3)) {
			t.Errorf("the token of %q: got %q, %d, %v", text, id, generation, ok)
		}
	})
}

func TestCodesCannotBeGuessed(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := grant.NewID()
		code := grant.NewCode(id)
		of, ok := grant.CodeGrant(code)
		// RFC 6749, section 10.10: 128 bits or more; in base32 that is 26
		// characters.
		random := strings.TrimPrefix(code.Reveal(), id+".")
		if !ok || of != id || len(random) < 26 || seen[random] || seen[id] {
			t.Fatalf("got a code for %q with %d characters of chance", of, len(random))
		}
		seen[random], seen[id] = true, true
	}
	for _, code := range []string{"", ".", "id", "id.", ".x"} {
		if id, ok := grant.CodeGrant(secret.New(code)); ok {
			t.Errorf("%q: got the grant %q, want none", code, id)
		}
	}
}

func TestCodeIsKeptAsItsHash(t *testing.T) {
	// FIPS 180-4, the example of one block.
	if got, want := grant.HashCode(secret.New("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGrantLives(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for n, test := range []struct {
		grant.Grant
		want bool
	}{
		{grant.Grant{ExpiresAt: now.Add(time.Second)}, true},
		{grant.Grant{ExpiresAt: now}, false},
		{grant.Grant{ExpiresAt: now.Add(-time.Second)}, false},
		{grant.Grant{ExpiresAt: now.Add(time.Hour), EndedAt: now}, false},
		{grant.Grant{ExpiresAt: now.Add(time.Hour), EndedAt: now.Add(time.Minute)}, false},
		{grant.Grant{}, false},
	} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			if got := test.Live(now); got != test.want {
				t.Errorf("%+v: got %v, want %v", test.Grant, got, test.want)
			}
		})
	}
}
