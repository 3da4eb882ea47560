// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/test/directory"
)

// A directory that takes connections and answers nothing: the worst that it
// can do to who waits for it.
func TestADirectoryThatStallsUnderLogins(t *testing.T) {
	t.Parallel()
	const timeout, keepFor = time.Second, 4 * time.Second
	// One request may wait for an old connection and then for a new one.
	const deadline = 3*timeout + 2*time.Second
	server := laboratory(t)
	source := corp(server)
	source["keep_for"] = keepFor.String()
	source.of("ldap")["timeout"] = timeout.String()
	p := serve(t, settings{"name": "local"}, source)
	p.admin("a long enough secret", "user", "add", "carol", "--password-stdin")

	carol, _ := p.logIn("local", "carol", "a long enough secret")
	alice, known := p.logIn("corp", "alice", "alice-password")
	gone, _ := p.logIn("corp", "bob", "bob-password")
	goneToo, _ := p.logIn("corp", "bob", "bob-password")
	if err := server.Administer(t).Del(goldap.NewDelRequest(user("bob"), nil)); err != nil {
		t.Fatal(err)
	}
	if got := gone.refresh(); got.refused.Code != oidc.InvalidGrant {
		t.Fatalf("a user who was deleted: got %d %+v", got.status, got.refused)
	}

	server.Stall(t)
	waiting := make(chan answer, 1)
	go func() {
		a, err := alice.tryRefresh()
		if err != nil {
			t.Error(err)
		}
		waiting <- a
	}()
	// While that one waits, nobody else does.
	stranger := p.browser()
	for range 3 {
		if got, err := stranger.send(http.MethodGet, p.issuer+"/keys", nil); err != nil || got.status != http.StatusOK {
			t.Errorf("the key set: %d, %v", got.status, err)
		}
		if got, err := stranger.open("kubernetes"); err != nil || got.status != http.StatusOK {
			t.Errorf("the login page: %d, %v", got.status, err)
		}
		carol.mustRefresh()
	}
	var kept answer
	select {
	case kept = <-waiting:
		t.Errorf("the refresh of a user of the directory did not wait (%s), so this shows nothing", kept.took)
	default:
		kept = <-waiting
	}
	if diff := cmp.Diff(known, kept.claims(t)); diff != "" || kept.took > deadline {
		t.Errorf("while the directory stalls: after %s: -want +got:\n%s", kept.took, diff)
	}
	if got := goneToo.refresh(); got.status != http.StatusServiceUnavailable || got.refused.Code != oidc.TemporarilyUnavailable || got.took > deadline {
		t.Errorf("a user who was deleted before: after %s got %d %+v", got.took, got.status, got.refused)
	}
	got := p.browser().logIn("corp", "josé", "josé-password")
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.problem, unavailable) || got.took > deadline {
		t.Errorf("a login while the directory stalls: after %s got %d: %s", got.took, got.status, got.text)
	}
	p.logIn("local", "carol", "a long enough secret")

	// keep_for is over: not now, and not never.
	eventually(t, keepFor+4*deadline, func() error {
		got, err := alice.tryRefresh()
		switch {
		case err != nil:
			return err
		case got.took > deadline:
			t.Errorf("a refresh took %s", got.took)
		case got.status == http.StatusServiceUnavailable && got.refused.Code == oidc.TemporarilyUnavailable:
			return nil
		case got.status != http.StatusOK:
			t.Fatalf("got %d %+v", got.status, got.refused)
		}
		return fmt.Errorf("it still goes on with what was known")
	})

	// Nor does a crowd wait longer than one.
	var crowd sync.WaitGroup
	for range 30 {
		one := &login{p.browser(), alice.newest}
		crowd.Go(func() {
			if got, err := one.tryRefresh(); err != nil || got.status != http.StatusServiceUnavailable || got.took > deadline {
				t.Errorf("one of a crowd: after %s got %d %+v, %v", got.took, got.status, got.refused, err)
			}
		})
	}
	crowd.Wait()

	server.Process().Signal(syscall.SIGCONT)
	eventually(t, 30*time.Second, func() error {
		got, err := alice.tryRefresh()
		if err == nil && got.status != http.StatusOK {
			err = &got.refused
		}
		return err
	})
	if got := goneToo.refresh(); got.status != http.StatusBadRequest || got.refused.Code != oidc.InvalidGrant {
		t.Errorf("a user who was deleted before, afterwards: got %d %+v", got.status, got.refused)
	}
	p.logIn("corp", "josé", "josé-password")
}

// keep_for counts from the last answer of the directory, not from the login.
func TestKeepForCountsFromTheLastAnswer(t *testing.T) {
	t.Parallel()
	const keepFor = 3 * time.Second
	server := laboratory(t)
	source := corp(server)
	source["keep_for"] = keepFor.String()
	p := serve(t, source)
	alice, _ := p.logIn("", "alice", "alice-password")
	begun := time.Now()
	eventually(t, time.Minute, func() error {
		alice.mustRefresh()
		if age := time.Since(begun); age <= keepFor {
			return fmt.Errorf("the login is %s old", age)
		}
		return nil
	})
	server.Process().Kill()
	if got := alice.refresh(); got.status != http.StatusOK {
		t.Errorf("right after the directory went away: got %d %+v", got.status, got.refused)
	}
	eventually(t, time.Minute, func() error {
		if got := alice.refresh(); got.refused.Code != oidc.TemporarilyUnavailable {
			return fmt.Errorf("got %d %+v", got.status, got.refused)
		}
		return nil
	})
}

func TestADirectoryThatRestartsBetweenRequests(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	p := serve(t, corp(server))
	alice, _ := p.logIn("", "alice", "alice-password")
	for range 3 {
		server.Process().Kill()
		server.Restart(t)
		alice.mustRefresh()
		p.logIn("", "josé", "josé-password")
	}
	if log := read(t, p.process.Log); strings.Contains(log, "cannot be asked") {
		t.Error("the log tells of something that nobody noticed")
	}
}

// The server that is asked first is stalled, or not there.
func TestTwoDirectoriesOfWhichOneIsDown(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	for name, strike := range map[string]func(*directory.Server){
		"gone":    func(s *directory.Server) { s.Process().Kill() },
		"stalled": func(s *directory.Server) { s.Stall(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := laboratory(t), laboratory(t)
			both := filepath.Join(t.TempDir(), "authorities.crt")
			if err := os.WriteFile(both, []byte(read(t, first.CAFile)+read(t, second.CAFile)), 0o600); err != nil {
				t.Fatal(err)
			}
			source := corp(first)
			ldap := source.of("ldap")
			ldap["ca"], ldap["servers"], ldap["timeout"] = both, []string{first.LDAPS, second.LDAPS}, timeout.String()
			ldap.of("users")["id"] = "uid" // the two know nothing of each other
			p := serve(t, source)
			alice, _ := p.logIn("", "alice", "alice-password")
			strike(first)
			if got := alice.refresh(); got.status != http.StatusOK || got.took > timeout+time.Second {
				t.Errorf("the first refresh: after %s got %d %+v", got.took, got.status, got.refused)
			}
			for range 5 {
				if got := alice.refresh(); got.status != http.StatusOK || got.took >= timeout {
					t.Errorf("a later refresh: after %s got %d %+v", got.took, got.status, got.refused)
				}
				if got := p.browser().logIn("", "josé", "josé-password"); got.code == "" || got.took >= timeout {
					t.Errorf("a login: after %s got %d %s", got.took, got.status, got.problem)
				}
			}
			// The refreshes were answered by the second, not from memory.
			if log := read(t, p.process.Log); strings.Contains(log, "what it said before is used") {
				t.Error("the second was not asked")
			}
		})
	}
}
