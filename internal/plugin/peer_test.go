// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
)

// What kubelogin's users met and ours must not, where no other test shows it.
// docs/reference/kubelogin-differences.md has the whole list.

// kubelogin ignores nbf.
func TestTokenOfTheFutureIsRefused(t *testing.T) {
	d := newDesk(t)
	d.provider.Change(func(b *oidctest.Behaviour) {
		b.ExtraClaims = map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}
	})
	var stderr bytes.Buffer
	c := d.command()
	c.Stderr = &stderr
	if err := c.Run(); err == nil || !strings.Contains(stderr.String(), "error: the ID token is not valid before ") {
		t.Errorf("got %v and\n%s", err, stderr.String())
	}
}

// kubelogin waits for its browser, and kills it when the time is over.
func TestBrowserLivesOnAfterALoginThatFailed(t *testing.T) {
	d := newDesk(t)
	alive := filepath.Join(d.home, "alive")
	d.browser = "sh -c 'sleep 3; echo yes >" + alive + "'"
	if err := d.command("--authentication-timeout-sec=1").Run(); err == nil {
		t.Error("there is a credential, and nobody logged in")
	}
	if err := await(alive); err != nil {
		t.Errorf("the browser was ended: %v", err)
	}
}

// kubelogin polls only when the browser has ended.
func TestDevicePollsWhileTheBrowserStays(t *testing.T) {
	d := newDesk(t)
	d.browser = `sh -c 'browser visit "$0"; sleep 10'`
	began := time.Now()
	d.getToken("--grant-type=device-code")
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the credential took %s", took)
	}
}

// Many providers offer device codes, and allow them to some clients alone. Over
// SSH another way is found then; whoever asks for a device code is told.
func TestClientThatMayNotUseDeviceCodes(t *testing.T) {
	d := newDesk(t)
	d.provider.Change(func(b *oidctest.Behaviour) { b.DeviceBars = oidc.UnauthorizedClient })
	s := d.sit("get-token", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
	s.sees("paste its address here: ")
	s.types(d.otherMachine(addressShown.FindString(s.screen.String())) + "\n")
	s.sees(`"token":`)
	if err := s.ended(); err != nil {
		t.Errorf("%v\n%s", err, s.screen.String())
	}
	text, err := d.command("--grant-type=device-code", "--force-refresh", "--oidc-extra-scope=a").CombinedOutput()
	if err == nil || !bytes.Contains(text, []byte("error: the provider refused to begin a login: unauthorized_client")) {
		t.Errorf("got %v and\n%s", err, text)
	}
	// What is refused for another reason is not tried in another way.
	d.provider.Change(func(b *oidctest.Behaviour) { b.DeviceBars = oidc.InvalidScope })
	s = d.sit("get-token --oidc-extra-scope=b", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
	s.sees("error: the provider refused to begin a login: invalid_scope")
	if s.ended() == nil {
		t.Errorf("it went on:\n%s", s.screen.String())
	}
}

// kubelogin's callback server lingers for half a second if the browser has
// opened a connection in advance.
func TestCredentialFollowsTheAnswerAtOnce(t *testing.T) {
	d := newDesk(t)
	d.browser = "browser idle"
	var mu sync.Mutex // guards answered
	var answered time.Time
	d.provider.Change(func(b *oidctest.Behaviour) {
		b.OnToken = func(url.Values) {
			mu.Lock()
			defer mu.Unlock()
			answered = time.Now()
		}
	})
	best := time.Hour // of a few: the machine may be busy
	for range 5 {
		d.getToken("--token-cache-storage=none")
		mu.Lock()
		best = min(best, time.Since(answered))
		mu.Unlock()
	}
	if best > 300*time.Millisecond {
		t.Errorf("from the provider's answer to the end it took %s at best", best)
	}
}

// kubelogin takes its lock on the warm path too, so a login that waits for its
// person holds up everybody whose token is good.
func TestValidTokenWaitsForNobody(t *testing.T) {
	d := newDesk(t)
	want := d.getToken()
	d.provider.Change(func(b *oidctest.Behaviour) { b.Hang = map[oidctest.Endpoint]bool{oidctest.Token: true} })
	d.provider.Forget()
	holder := d.command("--force-refresh")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other process holds the lock and waits", func() bool { return d.provider.Count(oidctest.Token) > 0 })
	if got := d.getToken(); got != want {
		t.Error("another credential was printed")
	}
	holder.Process.Kill() //nolint:errcheck // it waits for an answer that never comes
	holder.Wait()         //nolint:errcheck // it was killed
}

// kubelogin cannot print a valid token from a read-only home without its lock
// file.
func TestValidTokenInAReadOnlyHome(t *testing.T) {
	d := newDesk(t)
	dir := smallDisk(t)
	want := d.getToken("--token-cache-dir=" + dir)
	locks, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil || len(locks) == 0 {
		t.Fatalf("got the locks %q, %v", locks, err)
	}
	for _, lock := range locks {
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
	remount(t, dir, "ro")
	if got := d.getToken("--token-cache-dir=" + dir); got != want {
		t.Error("another credential was printed")
	}
	if got := d.logins(); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// Five calls at once, and nobody at the browser: kubelogin opens five, one
// after the other, and takes five times as long.
func TestUnattendedCallsOpenOneBrowser(t *testing.T) {
	d := newDesk(t)
	d.browser = "browser ignore"
	var all sync.WaitGroup
	began := time.Now()
	for range 5 {
		all.Go(func() {
			var stderr bytes.Buffer
			c := d.command("--authentication-timeout-sec=4")
			c.Stderr = &stderr
			if err := c.Run(); err == nil || !strings.Contains(stderr.String(), "nobody logged in within 4s") {
				t.Errorf("got %v and\n%s", err, stderr.String())
			}
		})
	}
	all.Wait()
	if got := d.logins(); got != 1 {
		t.Errorf("%d browsers were opened, want one", got)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("all five took %s; one by one they would take 20s", took)
	}
}

// kubelogin has a login for each spelling of an authority's path.
func TestSpellingsOfOneAuthorityShareOneLogin(t *testing.T) {
	d := newDesk(t)
	if err := os.WriteFile(filepath.Join(d.home, "ca.crt"), d.provider.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{
		"--certificate-authority=" + filepath.Join(d.home, "ca.crt"),
		"--certificate-authority=~/ca.crt",
		"--certificate-authority=./ca.crt",
		"--certificate-authority-data=" + base64.StdEncoding.EncodeToString(d.provider.CA()),
	} {
		c := exec.Command("kubectl-oidc_login", "get-token", "--oidc-issuer-url="+string(d.provider.Issuer), "--oidc-client-id=kubernetes",
			"--listen-address=127.0.0.1:0", flag)
		c.Env, c.Dir = d.command().Env, d.home
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", flag, err, text)
		}
	}
	if got := d.logins(); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// Two accounts at one issuer and client, side by side.
func TestAccountsAreKeptApart(t *testing.T) {
	d := newDesk(t)
	as := func(login string) string { return "--oidc-auth-request-extra-params=login_hint=" + login }
	alice := d.getToken(as("alice"))
	d.provider.Change(func(b *oidctest.Behaviour) { b.Subject = "bob" })
	bob := d.getToken(as("bob"))
	if alice == bob || d.getToken(as("alice")) != alice || d.getToken(as("bob")) != bob {
		t.Error("the accounts share a token")
	}
	c := exec.Command("kubectl-oidc_login", "status")
	c.Env = d.command().Env
	text, err := c.Output()
	if err != nil || !strings.Contains(string(text), "alice@example.com") || !strings.Contains(string(text), "bob@example.com") {
		t.Errorf("got %v and\n%s", err, text)
	}
}

// In WSL there is no display, but Windows has a browser.
func TestWindowsBrowserFromWSL(t *testing.T) {
	d := newDesk(t)
	tools := filepath.Join(d.home, "tools")
	visit, err := exec.LookPath("browser")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexec " + visit + " visit \"$1\"\n"
	if err := os.WriteFile(filepath.Join(tools, "wslview"), []byte(script), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	d.browser = ""
	c := d.command()
	c.Env = append(c.Env, "WSL_DISTRO_NAME=Debian", "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if stdout, err := c.Output(); err != nil || !bytes.Contains(stdout, []byte(`"token":`)) || stderr.Len() > 0 {
		t.Errorf("got %v and\n%s", err, stderr.String())
	}
	if got := d.logins(); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// A provider that does not answer is waited for once for each command of
// kubectl, and once by many processes at once. kubelogin waits without end.
func TestUnreachedProviderIsAskedOnce(t *testing.T) {
	d := newDesk(t)
	d.getToken()
	d.provider.Change(func(b *oidctest.Behaviour) {
		b.Lifetime = 5 * time.Second
	})
	d.getToken("--force-refresh") // what is kept is too short to be handed out
	d.provider.Change(func(b *oidctest.Behaviour) { b.Unavailable = map[oidctest.Endpoint]int{oidctest.Token: 1000} })
	info := `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":true}}`
	const reason = "answered 503 Service Unavailable"
	five := func() (asked int) {
		t.Helper()
		d.provider.Forget()
		c := exec.Command("sh", "-c", "for i in 1 2 3 4 5; do get-token; done")
		c.Env = append(d.command().Env, info)
		text, err := c.CombinedOutput()
		if err == nil || bytes.Count(text, []byte(reason)) != 5 {
			t.Errorf("got %v and\n%s", err, text)
		}
		return d.provider.Count(oidctest.Token)
	}
	once := five()
	if again := five(); once != again || once > 5 {
		t.Errorf("the provider was asked %d times for the first command, %d times for the second; want those of one call", once, again)
	}

	// Many at once, each for another kubectl: those who wait take the result.
	d.provider.Forget()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if text, err := d.command().CombinedOutput(); err == nil || !bytes.Contains(text, []byte(reason)) {
				t.Errorf("got %v and\n%s", err, text)
			}
		})
	}
	all.Wait()
	if got := d.provider.Count(oidctest.Token); got != once {
		t.Errorf("five processes asked the provider %d times, want %d", got, once)
	}

	// It is back: the next call is as good as any.
	d.provider.Change(func(b *oidctest.Behaviour) { b.Unavailable, b.Lifetime = nil, time.Hour })
	d.getToken()
	if got := d.logins(); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}
