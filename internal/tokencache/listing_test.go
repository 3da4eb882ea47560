// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/tokencache"
)

const (
	keyOne = tokencache.Key("1111111111111111111111111111111111111111111111111111111111111111")
	keyTwo = tokencache.Key("2222222222222222222222222222222222222222222222222222222222222222")
)

func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestListIsSortedAndLeavesOutWhatIsNoEntry(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	for key, issuer := range map[tokencache.Key]oidc.Issuer{keyOne: "https://b.example.com", keyTwo: "https://a.example.com"} {
		kept := tokens()
		kept.Issuer = issuer
		if err := errors.Join(c.Save(t.Context(), key, kept), (tokencache.ProviderFile{Cache: c, Key: key}).Save([]byte("{}"))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, c.Dir, "tegata-"+strings.Repeat("3", 64)+".json", "tegata-"+string(keyOne)+".lock", "other.json", "tegata-notes.json")
	entries, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, string(entry.Tokens.Issuer), string(entry.Key), filepath.Base(entry.Path))
	}
	want := []string{
		"https://a.example.com", string(keyTwo), "tegata-" + string(keyTwo) + ".json",
		"https://b.example.com", string(keyOne), "tegata-" + string(keyOne) + ".json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListOfNothing(t *testing.T) {
	for _, c := range []tokencache.Cache{{}, {Dir: filepath.Join(t.TempDir(), "nowhere")}} {
		if entries, err := c.List(t.Context()); err != nil || entries != nil {
			t.Errorf("got %v, %v", entries, err)
		}
		if cleaned, err := c.Clean(t.Context(), false); err != nil || cleaned != nil {
			t.Errorf("got %v, %v", cleaned, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file")
	if _, err := (tokencache.Cache{Dir: file}).List(t.Context()); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestForgetTakesTheNoteToo(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	if err := errors.Join(c.Save(t.Context(), keyOne, tokens()), (tokencache.ProviderFile{Cache: c, Key: keyOne}).Save([]byte("{}")), c.Forget(keyOne), c.Forget(keyOne), (tokencache.Cache{}).Forget(keyOne)); err != nil {
		t.Fatal(err)
	}
	if left := names(t, c.Dir); left != nil {
		t.Errorf("left: %q", left)
	}
}

// Not even with our prefix is a file ours: the folder may be anybody's.
func TestCleanRemovesOnlyWhatIsOurs(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	alien := []string{
		"notes.txt", "tegata-notes.txt", "tegata-" + string(keyOne), "tegata-" + string(keyOne[1:]) + ".json", "tegata-1-" + string(keyOne) + ".json",
		"tegata-" + strings.Repeat("g", 64) + ".json", string(keyOne) + ".json", "tegata--" + string(keyOne) + ".json",
	}
	ours := []string{
		"tegata-" + string(keyOne) + ".json", "tegata-" + string(keyOne) + ".lock", "tegata-" + string(keyOne) + ".json.tmp-1",
		"tegata-provider-" + string(keyOne) + ".json", "tegata-probe.tmp-123", "tegata-provider-" + string(keyTwo) + ".json.tmp-1",
	}
	write(t, c.Dir, alien...)
	write(t, c.Dir, ours...)
	folder := "tegata-" + string(keyTwo) + ".json"
	if err := os.Mkdir(filepath.Join(c.Dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		before := names(t, c.Dir)
		cleaned, err := c.Clean(t.Context(), dry)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range cleaned {
			if one.Err != nil || one.HeldBy != 0 {
				t.Errorf("%+v", one)
			}
			got = append(got, filepath.Base(one.Path))
		}
		slices.Sort(ours)
		if diff := cmp.Diff(ours, got); diff != "" {
			t.Errorf("dry=%t: %s", dry, diff)
		}
		if after := names(t, c.Dir); dry && !slices.Equal(before, after) {
			t.Errorf("a dry run removed something: %q", after)
		}
	}
	want := append(slices.Clone(alien), folder)
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, c.Dir)); diff != "" {
		t.Error(diff)
	}
}

func TestCleanLeavesARenewalAlone(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	if err := errors.Join(c.Save(t.Context(), keyOne, tokens()), c.Save(t.Context(), keyTwo, tokens())); err != nil {
		t.Fatal(err)
	}
	unlock, err := c.Lock(t.Context(), keyOne, nil)
	if err != nil {
		t.Fatal(err)
	}
	cleaned, err := c.Clean(t.Context(), false)
	if err != nil || len(cleaned) != 3 {
		t.Fatalf("got %+v, %v", cleaned, err)
	}
	for _, one := range cleaned {
		want := 0
		if strings.Contains(one.Path, string(keyOne)) {
			want = os.Getpid()
		}
		if one.HeldBy != want {
			t.Errorf("got %+v, want HeldBy=%d", one, want)
		}
	}
	if _, err := c.Read(t.Context(), keyOne); err != nil {
		t.Errorf("the entry of the renewal: %v", err)
	}
	unlock()
	if _, err := c.Clean(t.Context(), false); err != nil || names(t, c.Dir) != nil {
		t.Errorf("got %v, left %q", err, names(t, c.Dir))
	}
}

// Removing lock files must not let two processes hold the lock, which it does
// in the peer.
func TestLockIsForOneWhileOthersClean(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	var inside int
	var mu sync.Mutex // guards inside
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				unlock, err := c.Lock(t.Context(), keyOne, func(int) {})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inside++; inside > 1 {
					t.Error("two hold the lock")
				}
				mu.Unlock()
				mu.Lock()
				inside--
				mu.Unlock()
				unlock()
			}
		})
		all.Go(func() {
			for range 200 {
				if _, err := c.Clean(t.Context(), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
