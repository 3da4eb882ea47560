// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/login"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestSplitCommand(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string // nil means an error
	}{
		{``, []string{}},
		{`firefox`, []string{"firefox"}},
		{`  firefox   -P  work %s `, []string{"firefox", "-P", "work", "%s"}},
		{`firefox -P 'my work'`, []string{"firefox", "-P", "my work"}},
		{`"/opt/My Browser/run" --x=""`, []string{"/opt/My Browser/run", "--x="}},
		{`/opt/My\ Browser/run`, []string{"/opt/My Browser/run"}},
		{`a "b\"c\d" 'e\f'`, []string{"a", `b"c\d`, `e\f`}},
		{`a '' b`, []string{"a", "", "b"}},
		{`a $HOME; b | c`, []string{"a", "$HOME;", "b", "|", "c"}},
		{`a "b`, nil},
		{`a 'b`, nil},
		{`a \`, nil},
	} {
		got, err := login.SplitCommand(test.line)
		if (err != nil) != (test.want == nil) {
			t.Errorf("%s: got the error %v", test.line, err)
			continue
		}
		if len(got)+len(test.want) > 0 && !cmp.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.line, got, test.want)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	for _, seed := range []string{`a b`, `"a b" c`, `a\ b`, `'`, `""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := login.SplitCommand(line)
		if err != nil {
			return
		}
		// Quoting each word and splitting again gives the same words.
		var quoted []string
		for _, word := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
		}
		again, err := login.SplitCommand(strings.Join(quoted, " "))
		if err != nil || strings.Join(again, "\x00") != strings.Join(words, "\x00") {
			t.Errorf("got %q, then %q, %v", words, again, err)
		}
	})
}

func TestWithAddress(t *testing.T) {
	for _, test := range []struct{ words, want []string }{
		{[]string{}, []string{"URL"}},
		{[]string{"-P", "work"}, []string{"-P", "work", "URL"}},
		{[]string{"--app=%s"}, []string{"--app=URL"}},
		{[]string{"%s", "%s"}, []string{"URL", "URL"}},
		{[]string{"100%%", "%d", "%"}, []string{"100%", "%d", "%", "URL"}},
	} {
		if got := login.WithAddress(test.words, "URL"); !cmp.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.words, got, test.want)
		}
	}
}

func TestAcceptedLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"":                          "en",
		"ja":                        "ja",
		"ja-JP,ja;q=0.9,en;q=0.8":   "ja",
		"en-US,en;q=0.9,ja;q=0.8":   "en",
		"de,fr;q=0.9":               "en",
		"de, ja;q=0.3":              "ja",
		"ja;q=0":                    "en",
		"JA":                        "ja",
		";;;q=,,":                   "en",
		"en;q=0.1,ja;q=nonsense":    "ja",
		"javanese,en":               "en",
		"ja;q=0.5,en;q=0.5":         "ja",
		strings.Repeat("x,", 1<<10): "en",
	} {
		if got := login.AcceptedLanguage(header); got != want {
			t.Errorf("%.40q: got %q, want %q", header, got, want)
		}
	}
}

func TestCallbackParameters(t *testing.T) {
	for query, good := range map[string]bool{
		"code=c&state=s":               true,
		"error=access_denied&state=s":  true,
		"state=s":                      false,
		"":                             false,
		"code=c&code=d&state=s":        false,
		"code=c&state=s&state=t":       false,
		"code=c&state=s&iss=a&iss=b":   false,
		"code=%zz&state=s":             false,
		"code=c&state=s&session_state": true,
	} {
		if _, err := login.ReadCallback(query); (err == nil) != good {
			t.Errorf("%s: got %v, want good=%t", query, err, good)
		}
	}
}

func FuzzCallback(f *testing.F) {
	for _, seed := range []string{"code=c&state=s", "error=e", "code=c&code=d", "%", "a;b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := login.ReadCallback(query)
		if err == nil && (len(values["state"]) > 1 || len(values["code"]) > 1 || values.Get("code")+values.Get("error") == "") {
			t.Errorf("%q was taken as %v", query, values)
		}
	})
}

// What a provider says never moves a cursor or a line of a terminal.
func FuzzPlain(f *testing.F) {
	f.Add("no\x1b[2Jmore\r\nlines")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range login.Plain(text) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q holds %q", login.Plain(text), r)
			}
		}
	})
}

func TestPages(t *testing.T) {
	reason := errors.New(`the provider refused the login: access_denied: <script>alert("no")</script>`)
	for _, language := range []string{"en", "ja"} {
		for name, page := range map[string]string{
			"success":  login.SuccessPage(language, "Alice <b>Liddell</b>", "kubernetes"),
			"nameless": login.SuccessPage(language, "", "kubernetes"),
			"failure":  login.FailurePage(language, reason),
			"stranger": login.StrangerPage(language),
		} {
			golden(t, filepath.Join("testdata", "page", name+"."+language+".html"), page)
			if strings.Contains(page, "<script") || strings.Contains(page, "<b>") {
				t.Errorf("%s.%s lets foreign markup in", name, language)
			}
		}
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}
