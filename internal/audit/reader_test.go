// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/oidc"
)

const ours = "https://id.example.com"

// written is count events of alice and bob in turn, as a server writes them.
func written(t testing.TB, from, count int) []byte {
	t.Helper()
	var out bytes.Buffer
	lines := audit.NewLines(&out, func(err error) { t.Error(err) })
	for n := from; n < from+count; n++ {
		event := audit.Event{
			Time: at().Add(time.Duration(n) * time.Second), Act: audit.Issued, Issuer: ours,
			Subject: oidc.Subject([]string{"alice", "bob"}[n%2]), Client: "kubernetes", TokenID: fmt.Sprint(n),
		}
		lines.Write(event)
	}
	return out.Bytes()
}

func keep(t testing.TB, path string, parts ...[]byte) audit.Files {
	t.Helper()
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return audit.Files{Path: path}
}

// all reads part after part, and returns the numbers of the events.
func all(t testing.TB, files audit.Files, filter audit.Filter, limit int) (numbers []string) {
	t.Helper()
	after := ""
	for range 10000 {
		found, err := files.Read(t.Context(), filter, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Events) > limit {
			t.Fatalf("got %d events, want at most %d", len(found.Events), limit)
		}
		for _, event := range found.Events {
			numbers = append(numbers, event.TokenID)
		}
		if after = found.Next; after == "" {
			return numbers
		}
	}
	t.Fatal("the trail has no end")
	return nil
}

func numbers(from, to, step int) (want []string) {
	for n := from; n >= to; n -= step {
		want = append(want, fmt.Sprint(n))
	}
	return want
}

func TestTheTrailIsReadBackwards(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	files := keep(t, path, written(t, 1000, 1500))
	keep(t, path+".1", written(t, 0, 1000))
	for _, limit := range []int{1, 7, 50, 2500, 5000} {
		if diff := cmp.Diff(numbers(2499, 0, 1), all(t, files, audit.Filter{}, limit)); diff != "" {
			t.Errorf("limit %d: want - got +:\n%s", limit, diff)
		}
	}
	for name, test := range map[string]struct {
		filter audit.Filter
		want   []string
	}{
		"issuer":        {audit.Filter{Issuer: ours}, numbers(2499, 0, 1)},
		"other issuer":  {audit.Filter{Issuer: "https://other.example.com"}, nil},
		"person":        {audit.Filter{Person: "alice"}, numbers(2498, 0, 2)},
		"act":           {audit.Filter{Act: audit.Issued, Client: "kubernetes"}, numbers(2499, 0, 1)},
		"other act":     {audit.Filter{Act: audit.LoggedIn}, nil},
		"other client":  {audit.Filter{Client: "web"}, nil},
		"part of names": {audit.Filter{Person: "ali"}, nil},
	} {
		if diff := cmp.Diff(test.want, all(t, files, test.filter, 100)); diff != "" {
			t.Errorf("%s: want - got +:\n%s", name, diff)
		}
	}
}

// What no issuer is named for concerns the whole server, and is shown where
// there is one alone.
func TestEventsOfNoIssuer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	lines := audit.NewLines(&out, func(err error) { t.Error(err) })
	for _, issuer := range []oidc.Issuer{ours, "", "https://other.example.com"} {
		lines.Write(audit.Event{Time: at(), Act: audit.Administered, Issuer: issuer, TokenID: string(issuer)})
	}
	files := keep(t, filepath.Join(t.TempDir(), "audit.jsonl"), out.Bytes())
	for _, test := range []struct {
		filter audit.Filter
		want   []string
	}{
		{audit.Filter{Issuer: ours}, []string{ours}},
		{audit.Filter{Issuer: ours, OrNone: true}, []string{"", ours}},
	} {
		if diff := cmp.Diff(test.want, all(t, files, test.filter, 10)); diff != "" {
			t.Errorf("%+v: want - got +:\n%s", test.filter, diff)
		}
	}
}

func TestWhoAdministersIsFound(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	audit.NewLines(&out, func(err error) { t.Error(err) }).Write(audit.Event{Time: at(), Act: audit.Administered, Actor: "alice", Subject: "bob", TokenID: "x"})
	files := keep(t, filepath.Join(t.TempDir(), "audit.jsonl"), out.Bytes())
	for _, person := range []string{"alice", "bob"} {
		if got := all(t, files, audit.Filter{Person: person}, 10); len(got) != 1 {
			t.Errorf("%s: got %v, want the event", person, got)
		}
	}
}

// Between two parts the file may be moved away, and another one begun.
func TestTheTrailGoesOnAfterARotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	files := keep(t, path, written(t, 0, 100))
	first, err := files.Read(t.Context(), audit.Filter{}, "", 10)
	if err != nil || first.Next == "" {
		t.Fatalf("got %+v, %v; want a part and a place", first, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	keep(t, path, written(t, 100, 5))
	second, err := files.Read(t.Context(), audit.Filter{}, first.Next, 200)
	if err != nil || len(second.Events) != 90 || second.Events[0].TokenID != "89" || second.Next != "" {
		t.Fatalf("got %d events and %v, want the 90 before", len(second.Events), err)
	}
	keep(t, path+".1", written(t, 50, 5))
	if _, err := files.Read(t.Context(), audit.Filter{}, first.Next, 10); !errors.Is(err, audit.ErrPlace) {
		t.Errorf("got %v, want %v: that file is gone", err, audit.ErrPlace)
	}
}

func TestPlacesThatAreNone(t *testing.T) {
	t.Parallel()
	files := keep(t, filepath.Join(t.TempDir(), "audit.jsonl"), written(t, 0, 3))
	for _, place := range []string{"x", "-", "-1", "0-0", "0123456789ab-5", "../../etc/passwd-0", strings.Repeat("9", 100)} {
		if _, err := files.Read(t.Context(), audit.Filter{}, place, 10); !errors.Is(err, audit.ErrPlace) {
			t.Errorf("%q: got %v, want %v", place, err, audit.ErrPlace)
		}
	}
}

// What nobody of ours wrote is left out, and told.
func TestLinesThatAreNoEventsAreCounted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	long := bytes.Repeat([]byte("long "), 200<<10/5)
	for name, test := range map[string]struct {
		garbage    []byte
		unreadable int
	}{
		"no JSON":              {[]byte("hello\n"), 1},
		"another JSON":         {[]byte("{}\n[]\nnull\n{\"act\":5}\n"), 4},
		"an empty line":        {[]byte("\n"), 1},
		"a line without end":   {append(slices.Clone(long), '\n'), 1},
		"NUL bytes of a crash": {append(make([]byte, 4096), '\n'), 1},
	} {
		files := keep(t, path, written(t, 0, 3), test.garbage, written(t, 3, 3))
		found, err := files.Read(t.Context(), audit.Filter{}, "", 100)
		if err != nil || len(found.Events) != 6 || found.Unreadable != test.unreadable {
			t.Errorf("%s: got %d events, %d unreadable, %v; want 6 and %d", name, len(found.Events), found.Unreadable, err, test.unreadable)
		}
	}
	whole := written(t, 0, 3)
	found, err := keep(t, path, whole[:len(whole)-10]).Read(t.Context(), audit.Filter{}, "", 100)
	if err != nil || len(found.Events) != 2 || found.Unreadable != 1 {
		t.Errorf("a line that broke off: got %+v, %v", found, err)
	}
}

// A filter that means little does not keep the server busy: it stops, says so,
// and goes on from there.
func TestTheBudgetIsKept(t *testing.T) {
	t.Parallel()
	files := keep(t, filepath.Join(t.TempDir(), "audit.jsonl"), written(t, 0, 5000))
	files.Budget = 100 << 10
	found, err := files.Read(t.Context(), audit.Filter{Act: audit.LoggedIn}, "", 10)
	if err != nil || !found.Exhausted || found.Next == "" || len(found.Events) != 0 {
		t.Fatalf("got %+v, %v; want a place to go on", found, err)
	}
	if diff := cmp.Diff(numbers(4998, 0, 2), all(t, files, audit.Filter{Person: "alice"}, 10000)); diff != "" {
		t.Errorf("want - got +:\n%s", diff)
	}
}

func TestATrailThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	found, err := audit.Files{Path: filepath.Join(dir, "none")}.Read(t.Context(), audit.Filter{}, "", 10)
	if err != nil || len(found.Events) != 0 || found.Next != "" {
		t.Errorf("got %+v, %v; want nothing", found, err)
	}
	if _, err := (audit.Files{Path: dir}).Read(t.Context(), audit.Filter{}, "", 10); !errors.Is(err, audit.ErrNoFile) {
		t.Errorf("a folder: got %v, want %v", err, audit.ErrNoFile)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	files := keep(t, filepath.Join(dir, "audit.jsonl"), written(t, 0, 3))
	if _, err := files.Read(ended, audit.Filter{}, "", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// Whatever stands in the file: reading ends, and finds what reading forwards
// finds.
func FuzzRead(f *testing.F) {
	f.Add(written(f, 0, 3), 2)
	f.Add([]byte("\n\n{\"act\":\"login\",\"time\":\"2026-11-22T04:14:15Z\"}"), 1)
	f.Add([]byte{}, 1)
	f.Add(bytes.Repeat([]byte("\x00"), 100), 3)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit = max(1, limit%10)
		files := keep(t, filepath.Join(t.TempDir(), "audit.jsonl"), text)
		want := []string(nil)
		for line := range bytes.Lines(text) {
			var event audit.Event
			if json.Unmarshal(line, &event) == nil && event.Act != "" && !event.Time.IsZero() {
				want = append(want, event.TokenID)
			}
		}
		slices.Reverse(want)
		if diff := cmp.Diff(want, all(t, files, audit.Filter{}, limit)); diff != "" {
			t.Errorf("want - got +:\n%s", diff)
		}
	})
}
