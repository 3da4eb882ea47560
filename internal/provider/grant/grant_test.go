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

func TestUserCodes(t *testing.T) {
	codes := grant.UserCodes{Key: seal.RandomKey()}
	seen := map[byte]int{}
	for range 500 {
		code := codes.New()
		if again, ok := codes.Read(code); !ok || again != code || len(code) != 9 || code[4] != '-' {
			t.Fatalf("got %q, read as %q, %v", code, again, ok)
		}
		for n := range len(code) {
			seen[code[n]]++
		}
	}
	// 4,000 letters of twenty kinds: each is there, and none too often.
	if len(seen) != 21 {
		t.Errorf("got the letters %v, want twenty", seen)
	}
	for letter, count := range seen {
		if letter != '-' && (count < 80 || count > 400) || strings.IndexByte("AEIOUY01lI", letter) >= 0 {
			t.Errorf("%c: %d times in 4000, want about 200", letter, count)
		}
	}
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJB-MJHT", "wdjbmjht": "WDJB-MJHT", " wdjb mjht ": "WDJB-MJHT", "W.D.J.B_M-J-H-T": "WDJB-MJHT",
		"": "", "WDJB-MJH": "", "WDJB-MJHTT": "", "ADJB-MJHT": "", "WDJB-MJH1": "", "ＷDJBMJHT": "", strings.Repeat("-", 100) + "WDJBMJHT": "",
	} {
		if got, ok := codes.Read(typed); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", typed, got, ok, want)
		}
	}
	other := grant.UserCodes{Key: seal.RandomKey()}
	if a, b := codes.Hash("WDJB-MJHT"), other.Hash("WDJB-MJHT"); a == b || a != codes.Hash("WDJB-MJHT") || a == codes.Hash("WDJB-MJHV") {
		t.Error("want a MAC: the same for one key and code, and for no other")
	}
}

func TestTokenIDLeadsToTheGrant(t *testing.T) {
	id := grant.NewID()
	for _, of := range []string{id, ""} {
		one, two := grant.NewTokenID(of), grant.NewTokenID(of)
		if one == two || grant.GrantOf(one) != of || len(one) < 26 {
			t.Errorf("got %q and %q of the grant %q, and back %q", one, two, of, grant.GrantOf(one))
		}
	}
}

// Whatever a person types for a user code: it is one of ours or none.
func FuzzUserCode(f *testing.F) {
	codes := grant.UserCodes{Key: seal.RandomKey()}
	for _, typed := range []string{"WDJB-MJHT", "wdjb mjht", "", "\x00", "WDJB-MJHT\n", "ｗｄｊｂ"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := codes.Read(typed)
		if again, still := codes.Read(code); ok != still || again != code || ok && len(code) != 9 {
			t.Errorf("%q: read as %q, %v, then as %q, %v", typed, code, ok, again, still)
		}
	})
}
