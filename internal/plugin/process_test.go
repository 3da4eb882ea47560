// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidctest"
)

// desk is a person's machine: a home, and programs that are started there as
// real processes.
type desk struct {
	t        testing.TB
	provider *oidctest.Provider
	home     string
	visited  string // each address that a browser was started with
	browser  string
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "tegata-desk-")
	if err != nil {
		t.Fatal(err)
	}
	// Nobody waits for a browser, so one may still be writing there.
	t.Cleanup(func() {
		eventually(t, "the browsers leave the home alone", func() bool { return os.RemoveAll(dir) == nil })
	})
	return &desk{t, oidctest.New(t), dir, filepath.Join(dir, "visited"), "browser visit"}
}

func (d *desk) command(args ...string) *exec.Cmd {
	c := exec.Command("get-token", args...)
	c.Env = []string{
		"HOME=" + d.home, "PATH=" + os.Getenv("PATH"), "ISSUER=" + string(d.provider.Issuer), "CA=" + d.provider.CAFile(),
		"BROWSER=" + d.browser, "VISITED=" + d.visited,
		"GORACE=" + os.Getenv("GORACE"),
	}
	return c
}

// getToken runs the plugin to its end and returns the credential.
func (d *desk) getToken(args ...string) string {
	d.t.Helper()
	c := d.command(args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.Output()
	if err != nil {
		d.t.Fatalf("get-token: %v\n%s", err, stderr.String())
	}
	return string(stdout)
}

// logins counts the browsers that were started.
func (d *desk) logins() int {
	text, err := os.ReadFile(d.visited)
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("\n"))
}

// eventually waits for another process.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(2 * time.Millisecond) { //nolint:forbidigo // another process
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Issue 2: two, then twenty processes at once.
func TestProcessesAtOnceShareOneRenewal(t *testing.T) {
	for _, count := range []int{2, 20} {
		for _, test := range []struct {
			name      string
			prepare   func(*desk)
			logins    int
			refreshes int
		}{
			{"no token", func(*desk) {}, 1, 0},
			{"expired token", func(d *desk) {
				d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = 5 * time.Second })
				d.getToken()
				d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = time.Hour })
			}, 0, 1},
			{"valid token", func(d *desk) { d.getToken() }, 0, 0},
		} {
			t.Run(fmt.Sprintf("%d with %s", count, test.name), func(t *testing.T) {
				d := newDesk(t)
				test.prepare(d)
				before := d.logins()
				d.provider.Forget()
				// Map flags in any number do not split the cache.
				credentials := make([]string, count)
				var all sync.WaitGroup
				for i := range count {
					all.Go(func() {
						var stderr bytes.Buffer
						c := d.command()
						c.Stderr = &stderr
						stdout, err := c.Output()
						if err != nil || stderr.Len() > 0 {
							t.Errorf("get-token: %v\n%s", err, stderr.String())
						}
						credentials[i] = string(stdout)
					})
				}
				all.Wait()
				for _, credential := range credentials {
					if credential != credentials[0] {
						t.Errorf("got different credentials from processes of one login")
						break
					}
				}
				if got := d.logins() - before; got != test.logins {
					t.Errorf("got %d logins, want %d", got, test.logins)
				}
				if got := d.provider.Refreshes(); got != test.refreshes {
					t.Errorf("got %d refreshes, want %d", got, test.refreshes)
				}
				if requests := d.provider.Counts(); test.logins+test.refreshes == 0 && len(requests) > 0 {
					t.Errorf("got the requests %v, want none", requests)
				}
			})
		}
	}
}

// kubelogin's cache key changed from run to run with more than one map entry.
func TestMapFlagsShareOneEntry(t *testing.T) {
	d := newDesk(t)
	for range 10 {
		d.getToken("--oidc-request-header=A=1,B=2", "--oidc-request-header=C=3", "--oidc-auth-request-extra-params=x=1,y=2,z=3")
	}
	if got := d.logins(); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// Issue 2: Ctrl-C at every waiting point ends with 130 and leaves nothing.
func TestInterruptEndsEachWait(t *testing.T) {
	hang := func(e oidctest.Endpoint) func(*desk) {
		return func(d *desk) {
			d.provider.Change(func(b *oidctest.Behaviour) { b.Hang = map[oidctest.Endpoint]bool{e: true} })
		}
	}
	asked := func(e oidctest.Endpoint) func(*desk, *exec.Cmd) bool {
		return func(d *desk, _ *exec.Cmd) bool { return d.provider.Count(e) > 0 }
	}
	afterLogin := func(next func(*desk)) func(*desk) {
		return func(d *desk) {
			d.getToken()
			d.provider.Forget()
			next(d)
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(*desk)
		args    []string
		waits   func(*desk, *exec.Cmd) bool // the process has come to the point
	}{
		{"discovery", hang(oidctest.Discovery), nil, asked(oidctest.Discovery)},
		{"key set", hang(oidctest.JWKS), nil, asked(oidctest.JWKS)},
		{"code exchange", hang(oidctest.Token), nil, asked(oidctest.Token)},
		{"refresh", afterLogin(hang(oidctest.Token)), []string{"--force-refresh"}, asked(oidctest.Token)},
		{"pause between attempts to refresh", afterLogin(func(d *desk) {
			d.provider.Change(func(b *oidctest.Behaviour) { b.Unavailable = map[oidctest.Endpoint]int{oidctest.Token: 1000} })
		}), []string{"--force-refresh"}, func(d *desk, _ *exec.Cmd) bool { return d.provider.Count(oidctest.Token) > 2 }},
		{"browser", func(d *desk) { d.browser = "browser ignore" }, nil, func(d *desk, _ *exec.Cmd) bool { return d.logins() > 0 }},
		{"lock", func(d *desk) {
			d.browser = "browser ignore"
			first := d.command()
			if err := first.Start(); err != nil {
				d.t.Fatal(err)
			}
			d.t.Cleanup(func() {
				first.Process.Kill() //nolint:errcheck // it may have ended
				first.Wait()         //nolint:errcheck // it was killed
			})
			eventually(d.t, "the first process asks a person", func() bool { return d.logins() > 0 })
		}, nil, func(_ *desk, c *exec.Cmd) bool { return pauses(c.Process.Pid) > 100 }},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(test.name+" "+signal.String(), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				test.prepare(d)
				c := d.command(test.args...)
				var stdout, stderr bytes.Buffer
				c.Stdout, c.Stderr = &stdout, &stderr
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the process waits at: "+test.name, func() bool { return test.waits(d, c) })
				began := time.Now()
				if err := c.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				var ended *exec.ExitError
				if err := c.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 130 {
					t.Errorf("got %v, want exit code 130", err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the process took %s to end", took)
				}
				if stdout.Len()+stderr.Len() > 0 {
					t.Errorf("got the output %q and %q, want none", stdout.String(), stderr.String())
				}
				leftovers, _ := filepath.Glob(filepath.Join(d.home, ".kube", "cache", "oidc-login", "*.tmp-*"))
				if len(leftovers) > 0 {
					t.Errorf("left behind: %v", leftovers)
				}
			})
		}
	}
}

// pauses counts how often the threads of a process went to sleep. A process
// that waits for a lock looks at it fifty times a second; everything before
// that takes a few milliseconds and a few pauses.
func pauses(pid int) (count int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		if match := voluntarySwitches.FindSubmatch(text); match != nil {
			n, _ := strconv.Atoi(string(match[1]))
			count += n
		}
	}
	return count
}

var voluntarySwitches = regexp.MustCompile(`(?m)^voluntary_ctxt_switches:\s*(\d+)`)

// A process that waits says so once, with the one it waits for; and takes its
// result.
func TestWaitingProcessNamesTheOther(t *testing.T) {
	d := newDesk(t)
	d.browser = "browser ignore"
	first := d.command()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first process asks a person", func() bool { return d.logins() > 0 })
	script := exec.Command("script", "-qec", "get-token", "/dev/null")
	if _, err := exec.LookPath("script"); err != nil {
		lacks(t, "the program script, for a terminal: install the package bsdutils")
	}
	script.Env = append(d.command().Env, "AT_TERMINAL=1", "SHELL=/bin/sh")
	var screen lockedBuffer
	script.Stdout = &screen
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("waiting for another login (pid %d)", first.Process.Pid)
	eventually(t, want, func() bool { return strings.Contains(screen.String(), want) })
	// The person logs in for the first process; the second takes the result.
	address, err := os.ReadFile(d.visited)
	if err != nil {
		t.Fatal(err)
	}
	page, err := oidctest.Visit(t.Context(), d.provider.Client(), strings.TrimSpace(string(address)), "")
	if err != nil || page.Status != 200 {
		t.Fatalf("visiting: %v %d", err, page.Status)
	}
	if err := errors.Join(first.Wait(), script.Wait()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(screen.String(), "waiting for"); got != 1 {
		t.Errorf("it was said %d times:\n%s", got, screen.String())
	}
	if !strings.Contains(screen.String(), `"token":`) || d.logins() != 1 {
		t.Errorf("got %d logins and\n%s", d.logins(), screen.String())
	}
}

// lockedBuffer is written by a process and read meanwhile.
type lockedBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// An idle connection of the browser, or a browser that stays, delays nothing.
func TestCredentialDoesNotWaitForTheBrowser(t *testing.T) {
	for _, habit := range []string{"visit", "idle", "chatter"} {
		d := newDesk(t)
		d.browser = "browser " + habit
		began := time.Now()
		d.getToken()
		// The browser itself stays for three seconds.
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("browser %s: the credential took %s", habit, took)
		}
	}
}

// lacks ends a test whose part is not here: CI must have everything, and a
// person reads what to do.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// smallDisk is a file system of its own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).Run(); err != nil {
		lacks(t, "the right to mount a file system: run it as root")
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	return dir
}

// Issue 2: the cache cannot be written when the refresh token was redeemed. A
// full disk, or one that went read-only, loses no credential, says so once, and
// leaves no broken entry.
func TestRefreshOnADiskThatTakesNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, dir string)
		repair  func(t *testing.T, dir string)
		because string
	}{
		{"full", func(t *testing.T, dir string) {
			file, err := os.Create(filepath.Join(dir, "ballast"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for err == nil {
				_, err = file.Write(make([]byte, 4096))
			}
		}, func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "ballast")) }, "no space left on device"},
		{"read-only", func(t *testing.T, dir string) { remount(t, dir, "ro") }, func(t *testing.T, dir string) { remount(t, dir, "rw") }, "read-only file system"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			dir := smallDisk(t)
			d.getToken("--token-cache-dir=" + dir)
			test.spoil(t, dir)
			c := d.command("--force-refresh", "--token-cache-dir="+dir)
			var stderr bytes.Buffer
			c.Stderr = &stderr
			stdout, err := c.Output()
			if err != nil || !strings.Contains(string(stdout), `"token":`) {
				t.Fatalf("got %v, %q, %s", err, stdout, stderr.String())
			}
			if strings.Count(stderr.String(), "\n") != 1 || !strings.HasPrefix(stderr.String(), "warning: the renewed tokens cannot be kept") ||
				!strings.Contains(stderr.String(), test.because) {
				t.Errorf("got the messages\n%s", stderr.String())
			}
			if leftovers, _ := filepath.Glob(filepath.Join(dir, "*.tmp-*")); len(leftovers) > 0 {
				t.Errorf("left behind: %v", leftovers)
			}
			// The old entry is whole, and is good until it expires.
			test.repair(t, dir)
			d.provider.Forget()
			d.getToken("--token-cache-dir=" + dir)
			if requests := d.provider.Counts(); len(requests) > 0 {
				t.Errorf("got the requests %v, want none", requests)
			}
		})
	}
}

func remount(t *testing.T, dir, how string) {
	t.Helper()
	if text, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, text)
	}
}
