// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

func tokens() tokencache.Tokens {
	return tokencache.Tokens{
		IDToken: secret.New("aaa.bbb.ccc"), Expiry: time.Unix(1800000000, 0), RefreshToken: secret.New("r/+="),
		Subject: "alice", Issuer: "https://id.example.com", ClientID: "kubernetes",
	}
}

func equal(a, b tokencache.Tokens) bool { return a == b }

func TestEntrySurvivesTheDisk(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*tokencache.Tokens)
	}{
		{"usual", func(*tokencache.Tokens) {}},
		{"no refresh token", func(t *tokencache.Tokens) { t.RefreshToken = secret.String{} }},
		{"no ID token", func(t *tokencache.Tokens) { t.IDToken, t.Expiry = secret.String{}, time.Time{} }},
		{"escapes", func(t *tokencache.Tokens) { t.Subject = "a\"\\\n<ü>\u2028" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := tokencache.Cache{Dir: filepath.Join(t.TempDir(), "a", "b"), Private: true}
			want := tokens()
			test.change(&want)
			if _, err := c.Read(t.Context(), "k"); !errors.Is(err, tokencache.ErrAbsent) {
				t.Errorf("an empty cache: %v", err)
			}
			if err := errors.Join(c.Probe(), c.Save(t.Context(), "k", want)); err != nil {
				t.Fatal(err)
			}
			got, err := c.Read(t.Context(), "k")
			if err != nil || !equal(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if err := errors.Join(c.Remove("k"), c.Remove("k")); err != nil {
				t.Error(err)
			}
			if _, err := c.Read(t.Context(), "k"); !errors.Is(err, tokencache.ErrAbsent) {
				t.Errorf("a removed entry: %v", err)
			}
		})
	}
}

func TestBrokenEntryIsAbsent(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	path := filepath.Join(c.Dir, "tegata-k.json")
	for _, text := range []string{
		"", "{", "{}", "null", "[]", "nonsense", `{"version":1}`, `{"version":2,"id_token":"a"}`, `{"version":"1","id_token":1}`,
		`{"version":1,"id_token":"a"`, "\x00\x01", `{"version":1,"id_token":""}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(t.Context(), "k"); !errors.Is(err, tokencache.ErrAbsent) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	if err := c.Save(t.Context(), "k", tokens()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), "k"); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

// In a folder that several people write to, a link is not followed and a file
// of somebody else's is absent.
func TestPlantedFilesAreNotOurs(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	elsewhere := tokencache.Cache{Dir: t.TempDir()}
	if err := elsewhere.Save(t.Context(), "k", tokens()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tegata-k.json", "tegata-provider-k.json"} {
		if err := os.Symlink(filepath.Join(elsewhere.Dir, "tegata-k.json"), filepath.Join(c.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.Read(t.Context(), "k"); err == nil {
		t.Errorf("tokens were read through a link: %+v", got)
	}
	if got, err := (tokencache.ProviderFile{Cache: c, Key: "k"}).Load(); err == nil {
		t.Errorf("what was learnt was read through a link: %s", got)
	}
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(c.Dir, "tegata-k.lock")); err != nil {
		t.Fatal(err)
	}
	if unlock, err := c.Lock(t.Context(), "k", func(int) {}); err == nil {
		unlock()
		t.Error("a lock was taken through a link")
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link now holds %q, %v", text, err)
	}
}

func TestModes(t *testing.T) {
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, private := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "cache")
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		c := tokencache.Cache{Dir: dir, Private: private}
		if err := c.Save(t.Context(), "k", tokens()); err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o755)
		if private {
			want = 0o700
		}
		if got := mode(dir); got != want {
			t.Errorf("private=%t: got mode %o of the directory, want %o", private, got, want)
		}
		path := filepath.Join(dir, "tegata-k.json")
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(t.Context(), "k"); err != nil || mode(path) != 0o600 {
			t.Errorf("got %v, mode %o of the file, want 600", err, mode(path))
		}
	}
}

func TestLeftoverOfAKilledProcessIsRemoved(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	old := filepath.Join(c.Dir, "tegata-k.json.tmp-123")
	young := filepath.Join(c.Dir, "tegata-k.json.tmp-456")
	hour := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(old, nil, 0o600), os.WriteFile(young, nil, 0o600), os.Chtimes(old, hour, hour), c.Save(t.Context(), "k", tokens())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the leftover is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("another writer's file was removed")
	}
}

func TestZeroCacheKeepsNothing(t *testing.T) {
	var c tokencache.Cache
	unlock, err := c.Lock(t.Context(), "k", nil)
	if err := errors.Join(err, c.Probe(), c.Save(t.Context(), "k", tokens()), c.Remove("k"), tokencache.ProviderFile{}.Save(nil)); err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := c.Read(t.Context(), "k"); !errors.Is(err, tokencache.ErrAbsent) {
		t.Errorf("got %v", err)
	}
	if _, err := (tokencache.ProviderFile{}).Load(); !errors.Is(err, tokencache.ErrAbsent) {
		t.Errorf("got %v", err)
	}
}

func TestLockIsForOne(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	var inside, total int
	var mu sync.Mutex // guards inside and total
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			unlock, err := c.Lock(t.Context(), "k", func(int) {})
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			mu.Lock()
			inside++
			total++
			if inside > 1 {
				t.Error("two hold the lock")
			}
			mu.Unlock()
			defer func() { mu.Lock(); inside--; mu.Unlock() }()
		})
	}
	all.Wait()
	if total != 8 {
		t.Errorf("%d of 8 had the lock", total)
	}
}

func TestLockWaitCanBeEnded(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	unlock, err := c.Lock(t.Context(), "k", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	_, err = c.Lock(ctx, "k", func(pid int) {
		told++
		if pid != os.Getpid() {
			t.Errorf("got the process %d, want %d", pid, os.Getpid())
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("got %v, told %d times", err, told)
	}
	// Another key does not wait.
	other, err := c.Lock(t.Context(), "l", nil)
	if err != nil {
		t.Fatal(err)
	}
	other()
}

func TestDir(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/people/a"}, "/people/a/.kube/cache/oidc-login"},
		{map[string]string{"HOME": "/people/a", "KUBECACHEDIR": ""}, "/people/a/.kube/cache/oidc-login"},
		{map[string]string{"HOME": "/people/a", "KUBECACHEDIR": "/var/cache"}, "/var/cache/oidc-login"},
		{map[string]string{}, ""},
	} {
		if got := tokencache.Dir(func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("%v: got %q, want %q", test.env, got, test.want)
		}
	}
	lookup := func(string) string { return "/people/a" }
	for path, want := range map[string]string{"~": "/people/a", "~/x": "/people/a/x", "~b/x": "~b/x", "a~": "a~", "/x": "/x", "": ""} {
		if got := tokencache.ExpandHome(path, lookup); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// The short way to read an entry and encoding/json agree.
func FuzzEntry(f *testing.F) {
	text, err := tokencache.FormatTokens(tokens())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, seed := range []string{"{}", `{"a":1}`, `{"a":01}`, `{"a":"b","a":"c"}`, `{"a":"\""}`, `{"a":1,}`, `{"a":"b"}}`, `{"a":12345678901234567890}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if texts, numbers, ok := tokencache.PlainFields(string(text)); ok {
			wantTexts, wantNumbers, ok := tokencache.JSONFields(text)
			if !ok || !cmp.Equal(texts, wantTexts) || !cmp.Equal(numbers, wantNumbers) {
				t.Errorf("%q: got %q and %q, encoding/json has %q and %q", text, texts, numbers, wantTexts, wantNumbers)
			}
		}
		parsed, err := tokencache.ParseTokens(text)
		if err != nil {
			return
		}
		again, err := tokencache.FormatTokens(parsed)
		if err != nil {
			t.Fatal(err)
		}
		second, err := tokencache.ParseTokens(again)
		if strings.Contains(string(again), `\ufffd`) {
			return // not UTF-8: JSON cannot keep it
		}
		if err != nil || !equal(parsed, second) {
			t.Errorf("%q became %q", text, again)
		}
	})
}
