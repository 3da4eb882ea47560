// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/kubeconfig"
)

const stanza = `# of mine
users:
- name: oidc
  user:
    auth-provider:
      name: oidc
      config:
        idp-issuer-url: https://id.example.com
        id-token: old
`

func put(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func get(t *testing.T, path string) (string, fs.FileMode) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), info.Mode().Perm()
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestPaths(t *testing.T) {
	list := strings.Join([]string{"a", "", "b", "a"}, string(filepath.ListSeparator))
	for _, test := range []struct {
		flag, variable, home string
		want                 []string
	}{
		{"x", list, "/home", []string{"x"}},
		{"", list, "/home", []string{"a", "b"}},
		{"", "", "/home", []string{filepath.Join("/home", ".kube", "config")}},
		{"", string(filepath.ListSeparator), "/home", []string{filepath.Join("/home", ".kube", "config")}},
		{"", "", "", nil},
	} {
		if diff := cmp.Diff(test.want, kubeconfig.Paths(test.flag, test.variable, test.home)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test, diff)
		}
	}
}

// The first file that says something wins, for a whole entry.
func TestLoadMerges(t *testing.T) {
	dir := t.TempDir()
	one := put(t, filepath.Join(dir, "one"), "users: [{name: a, user: {token: t}}]\ncontexts: [{name: x, context: {user: a}}]\n", 0o600)
	two := put(t, filepath.Join(dir, "two"), "current-context: y\nusers: [{name: a, user: {exec: {command: c}}}, {name: b, user: {exec: {command: d, args: [e, 1]}}}]\ncontexts: [{name: y, context: {user: b, cluster: c}}]", 0o600)
	three := put(t, filepath.Join(dir, "three"), "current-context: x\n", 0o600)
	c, err := kubeconfig.Load([]string{filepath.Join(dir, "none"), one, two, three})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CurrentContext(); got != "y" {
		t.Errorf("got the context %q", got)
	}
	if got, _ := c.Context("y"); got != (kubeconfig.Context{Name: "y", Cluster: "c", User: "b", Path: two}) {
		t.Errorf("got the context %+v", got)
	}
	if _, ok := c.Context("z"); ok {
		t.Error("there is a context z")
	}
	if a, _ := c.User("a"); a.Exec != nil || a.Path != one || !cmp.Equal(a.Others, []string{"token"}) {
		t.Errorf("got the user %+v", a)
	}
	if b, _ := c.User("b"); b.Path != two || !cmp.Equal(b.Exec, &kubeconfig.Exec{Command: "d", Args: []string{"e", "1"}}) {
		t.Errorf("got the user %+v", b)
	}
	if _, ok := c.User("c"); ok {
		t.Error("there is a user c")
	}
	if diff := cmp.Diff([][]string{{one, two, three}, {"x", "y"}, {"a", "b"}}, [][]string{c.Paths, c.Contexts(), c.Users()}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	large := put(t, filepath.Join(dir, "large"), strings.Repeat("#", 4<<20+1), 0o600)
	for path, want := range map[string]string{dir: dir + " is no file", large: large + " has more than 4194304 bytes"} {
		if _, err := kubeconfig.Load([]string{path}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A change goes to the file that has the entry, a new entry to the first file
// that exists, or else to the last of the list.
func TestUpdateFindsTheFile(t *testing.T) {
	dir := t.TempDir()
	none, last := filepath.Join(dir, "none"), filepath.Join(dir, "new", "last")
	written, err := kubeconfig.Update(t.Context(), []string{none, last}, plugin)
	if err != nil || !cmp.Equal(written, []kubeconfig.Written{{Path: last, Created: true}}) {
		t.Fatalf("got %+v, %v", written, err)
	}
	text, mode := get(t, last)
	if text != "apiVersion: v1\nkind: Config\nusers:\n"+added || mode != 0o600 {
		t.Errorf("got %q, %o", text, mode)
	}
	if info, err := os.Stat(filepath.Dir(last)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}

	one := put(t, filepath.Join(dir, "one"), "contexts: []\n", 0o600)
	two := put(t, filepath.Join(dir, "two"), "contexts: [{name: here, context: {user: x}}]\n", 0o640)
	written, err = kubeconfig.Update(t.Context(), []string{none, one, two}, plugin, move)
	if err != nil || !cmp.Equal(written, []kubeconfig.Written{{Path: one}, {Path: two}}) {
		t.Fatalf("got %+v, %v", written, err)
	}
	if text, _ := get(t, one); text != "contexts: []\nusers:\n"+added {
		t.Errorf("got %q", text)
	}
	if text, mode := get(t, two); text != "contexts: [{name: here, context: {user: \"oidc\"}}]\n" || mode != 0o640 {
		t.Errorf("got %q, %o", text, mode)
	}
	if written, err = kubeconfig.Update(t.Context(), []string{none, one, two}, plugin, move); err != nil || written != nil {
		t.Errorf("nothing to do: got %+v, %v", written, err)
	}
	if got := files(t, dir); !cmp.Equal(got, []string{"new", "one", "two"}) {
		t.Errorf("there are %q", got)
	}
	if _, err := kubeconfig.Update(t.Context(), nil, plugin); err == nil || !strings.Contains(err.Error(), "no home directory") {
		t.Errorf("without a home: got %v", err)
	}
	if _, err := kubeconfig.Update(t.Context(), []string{one}, tokens); err == nil {
		t.Error("a user without an auth-provider got tokens")
	}
}

// Others may not read what holds a token; a mode never gets wider.
func TestUpdateKeepsTheMode(t *testing.T) {
	for _, test := range []struct {
		text             string
		change           kubeconfig.Change
		before, after    fs.FileMode
		narrowed, refuse bool
	}{
		{"users: []\n", plugin, 0o644, 0o644, false, false},
		{"users: [{name: a, user: {token: t}}]\n", plugin, 0o644, 0o600, true, false},
		{"users: [{name: a, user: {client-key-data: t}}]\n", plugin, 0o660, 0o600, true, false},
		{stanza, tokens, 0o644, 0o600, true, false},
		{stanza, tokens, 0o600, 0o600, false, false},
		{stanza, tokens, 0o200 | 0o444, 0o600, true, false},
		{stanza, tokens, 0o400, 0o400, false, true},
	} {
		path := put(t, filepath.Join(t.TempDir(), "config"), test.text, test.before)
		check := kubeconfig.Check(t.Context(), []string{path}, test.change)
		if text, mode := get(t, path); text != test.text || mode != test.before {
			t.Errorf("a check changed the file to %q, %o", text, mode)
		}
		written, err := kubeconfig.Update(t.Context(), []string{path}, test.change)
		if (check != nil) != test.refuse || (err != nil) != test.refuse {
			t.Errorf("%o: got %v and %v", test.before, check, err)
			continue
		}
		if err == nil && (len(written) != 1 || (written[0].Narrowed == test.before) != test.narrowed) {
			t.Errorf("%o: got %+v", test.before, written)
		}
		if _, mode := get(t, path); mode != test.after {
			t.Errorf("%o became %o, want %o", test.before, mode, test.after)
		}
	}
}

func TestUpdateFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	real := put(t, filepath.Join(dir, "real", "file"), stanza, 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join("real", "file"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := kubeconfig.Update(t.Context(), []string{link}, tokens); err != nil {
		t.Fatal(err)
	}
	if text, _ := get(t, real); !strings.Contains(text, "id-token: a.b.c\n") {
		t.Errorf("got %q", text)
	}
	if target, err := os.Readlink(link); err != nil || target != filepath.Join("real", "file") {
		t.Errorf("the link became %q, %v", target, err)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	if _, err := kubeconfig.Update(t.Context(), []string{link}, plugin); err == nil || !strings.HasSuffix(err.Error(), "which does not exist") {
		t.Errorf("a link to nothing: got %v", err)
	}
}

// The file is whole at each moment, whoever reads and writes at once.
func TestUpdateAtOnce(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "config"), "", 0o600)
	var all sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		all.Go(func() {
			if _, err := kubeconfig.Update(t.Context(), []string{path}, kubeconfig.SetExec(name, kubeconfig.Exec{Command: name})); err != nil {
				t.Error(err)
			}
			if _, err := kubeconfig.Load([]string{path}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := kubeconfig.Load([]string{path})
	if err != nil || len(c.Users()) != len(names) {
		t.Errorf("got %q, %v", c.Users(), err)
	}
}

// client-go's lock is a file that must not be there. Somebody who died left it.
func TestUpdateWaitsForTheLock(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "config"), stanza, 0o600)
	lock := put(t, path+".lock", "", 0)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := kubeconfig.Update(t.Context(), []string{path}, tokens)
		if locked, ok := errors.AsType[*kubeconfig.LockedError](err); !ok || locked.Path != lock || time.Since(began) > 10*time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := kubeconfig.Update(ctx, []string{path}, tokens); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: got %v", err)
		}
		time.AfterFunc(time.Second, func() { os.Remove(lock) }) //nolint:errcheck // the update would not come
		if _, err := kubeconfig.Update(t.Context(), []string{path}, tokens); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is still there: %v", err)
	}
}

// What cannot be written is found out before; root may write everywhere, but
// not below a file, and not where the system itself is.
func TestCheckFindsWhatCannotBeWritten(t *testing.T) {
	file := put(t, filepath.Join(t.TempDir(), "file"), "", 0o600)
	for _, path := range []string{filepath.Join(file, "config"), "/proc/1/nowhere/config"} {
		if err := kubeconfig.Check(t.Context(), []string{path}, plugin); err == nil {
			t.Errorf("%s can be written", path)
		}
		if _, err := kubeconfig.Update(t.Context(), []string{path}, plugin); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if err := kubeconfig.Check(t.Context(), []string{file}, plugin); err != nil {
		t.Error(err)
	}
	if text, _ := get(t, file); text != "" {
		t.Errorf("a check wrote %q", text)
	}
}
