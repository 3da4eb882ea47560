// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

// RFC 6238, appendix B, the last six of the eight digits; the key is that of
// RFC 4226, appendix D.
func TestVectorsOfTheRFC(t *testing.T) {
	totp := TOTP{secret.New("12345678901234567890")}
	for seconds, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		now := time.Unix(seconds, 0)
		if got := totp.at(seconds / 30); got != want {
			t.Errorf("at %d: got %s, want %s", seconds, got, want)
		}
		if at, ok := totp.Check(secret.New(want), now, 0); !ok || at != seconds/30 {
			t.Errorf("at %d: %s is refused", seconds, want)
		}
	}
	// RFC 4226, appendix D: the codes of the first ten counters.
	for counter, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := totp.at(int64(counter)); got != want {
			t.Errorf("counter %d: got %s, want %s", counter, got, want)
		}
	}
}

func TestCodesAreGoodOnceAndForAWhile(t *testing.T) {
	totp, now := NewTOTP(), time.Unix(1_800_000_015, 0)
	current := now.Unix() / 30
	for _, test := range []struct {
		name string
		code string
		last int64
		want bool
	}{
		{"now", totp.at(current), 0, true},
		{"the one before", totp.at(current - 1), 0, true},
		{"the next", totp.at(current + 1), 0, true},
		{"two before", totp.at(current - 2), 0, false},
		{"two after", totp.at(current + 2), 0, false},
		{"again", totp.at(current), current, false},
		{"the one before, after now", totp.at(current - 1), current, false},
		{"the next, after now", totp.at(current + 1), current, true},
		{"with spaces", " " + totp.at(current)[:3] + " " + totp.at(current)[3:], 0, true},
		{"empty", "", 0, false},
		{"half", totp.at(current)[:3], 0, false},
		{"with a digit more", totp.at(current) + "0", 0, false},
	} {
		if _, got := totp.Check(secret.New(test.code), now, test.last); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestKeysAreReadAsPeopleTypeThem(t *testing.T) {
	totp := NewTOTP()
	text := totp.Text().Reveal()
	for _, typed := range []string{text, strings.ToLower(text), text[:4] + " " + text[4:8] + "-" + text[8:], text + "===="} {
		read, err := ParseTOTP(secret.New(typed))
		if err != nil || !read.key.Equal(totp.key) {
			t.Errorf("%q: got another key, %v", typed, err)
		}
	}
	for _, wrong := range []string{"", "AAAA", "no base32!", text[:10], "0" + text[1:]} {
		if _, err := ParseTOTP(secret.New(wrong)); err == nil {
			t.Errorf("%q was read", wrong)
		}
	}
}

func TestWhatAnAppScans(t *testing.T) {
	totp := NewTOTP()
	u, err := url.Parse(totp.URI("Example: GmbH & Co", "alice@example.com").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Example  GmbH & Co:alice@example.com" ||
		query.Get("secret") != totp.Text().Reveal() || query.Get("issuer") != "Example: GmbH & Co" ||
		query.Get("digits") != "6" || query.Get("period") != "30" || query.Get("algorithm") != "SHA1" {
		t.Errorf("got %s with %v", u.Path, query)
	}
}

func TestRecoveryCodes(t *testing.T) {
	codes := NewRecoveryCodes()
	var hashes []string
	seen := map[string]bool{}
	for _, code := range codes {
		seen[code.Reveal()] = true
		hashes = append(hashes, HashRecoveryCode(code))
	}
	if len(seen) != 10 {
		t.Fatalf("got %d different codes, want 10", len(seen))
	}
	for i, code := range codes {
		typed := strings.ToLower(strings.ReplaceAll(code.Reveal(), "-", " "))
		if got := FindRecoveryCode(secret.New(typed), hashes); got != i {
			t.Errorf("code %d: got %d", i, got)
		}
	}
	for _, wrong := range []string{"", "-", "AAAAA-AAAAA-AAAAA", hashes[0]} {
		if got := FindRecoveryCode(secret.New(wrong), hashes); got != -1 {
			t.Errorf("%q: got %d, want none", wrong, got)
		}
	}
}

func FuzzTOTP(f *testing.F) {
	f.Add("287082", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	f.Fuzz(func(t *testing.T, code, key string) {
		totp, err := ParseTOTP(secret.New(key))
		if err != nil {
			return
		}
		if again, err := ParseTOTP(totp.Text()); err != nil || !again.key.Equal(totp.key) {
			t.Errorf("%q: what is written is not read: %v", key, err)
		}
		if at, ok := totp.Check(secret.New(code), time.Unix(59, 0), 0); ok && totp.at(at) != strings.ReplaceAll(strings.TrimSpace(code), " ", "") {
			t.Errorf("%q was accepted", code)
		}
	})
}
