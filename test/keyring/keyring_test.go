// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tegata/tegata/internal/oidctest"
)

func TestLoginIsSealed(t *testing.T) {
	d := newDesk(t).withKeyring()
	first := d.getToken("")
	asked := d.asked()
	if second := d.getToken(""); second != first || d.asked() != asked {
		t.Errorf("the second call sent %d requests", d.asked()-asked)
	}
	d.wantSealed(true)
	if got, want := d.items(), []string{"tegata " + d.cache}; !slices.Equal(got, want) {
		t.Errorf("the keyring holds %q, want %q", got, want)
	}
	// Sealed again when it is renewed.
	if renewed := d.getToken("", "--force-refresh"); renewed == first || d.provider.Refreshes() != 1 {
		t.Error("--force-refresh did not renew")
	}
	d.wantSealed(true)
	if d.logins() != 1 {
		t.Errorf("%d logins, want 1", d.logins())
	}
}

// Tokens are larger than an item of some keyrings may be.
func TestLargeTokenIsSealed(t *testing.T) {
	d := newDesk(t).withKeyring()
	var groups []string
	for i := range 1000 {
		groups = append(groups, fmt.Sprintf("group-%d-%s", i, strings.Repeat("x", 10)))
	}
	d.provider.Change(func(b *oidctest.Behaviour) { b.ExtraClaims = map[string]any{"groups": groups} })
	first := d.getToken("")
	if len(first) < 20<<10 {
		t.Fatalf("the credential has %d bytes", len(first))
	}
	if d.getToken("") != first || d.logins() != 1 {
		t.Error("the large token was not kept")
	}
	d.wantSealed(true)
}

func TestEntrySurvivesARestart(t *testing.T) {
	d := newDesk(t).withKeyring()
	first := d.getToken("")
	d.kill()
	d.startKeyring(password)
	if d.getToken("") != first || d.logins() != 1 {
		t.Error("the entry did not survive the keyring's restart")
	}
}

// A keyring that goes away between two calls: one warning, and the next call
// neither warns nor asks. When it is there again the entry moves back.
func TestKilledKeyring(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.kill()
	second := d.getToken("asking the Secret Service: ")
	d.wantSealed(false)
	asked := d.asked()
	if third := d.getToken(""); third != second {
		t.Error("the login after the keyring went away was not kept")
	}
	d.startKeyring(password)
	if d.getToken("") != second {
		t.Error("got another credential")
	}
	d.wantSealed(false) // a minute is left to it
	d.later()
	if d.getToken("") != second {
		t.Error("got another credential")
	}
	d.wantSealed(true)
	if d.getToken("") != second || d.asked() != asked {
		t.Errorf("%d requests after the login", d.asked()-asked)
	}
	if d.logins() != 2 || len(d.items()) != 1 {
		t.Errorf("%d logins, want 2; the keyring holds %q", d.logins(), d.items())
	}
	// Without waiting for it, what is renewed moves at once.
	d.kill()
	d.getToken("asking the Secret Service: ", "--force-refresh")
	d.startKeyring(password)
	d.getToken("", "--force-refresh")
	d.wantSealed(true)
}

func TestMissingKeyrings(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*desk)
		want    string
	}{
		{"no Secret Service", func(*desk) {}, "asking the Secret Service: The name org.freedesktop.secrets was not provided by any .service files; until"},
		{"no collection", func(d *desk) { d.startKeyring("") }, "asking the Secret Service: "},
		{"no bus", func(d *desk) {
			d.env = append(d.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(d.runtime, "nowhere"))
		}, "connecting to the D-Bus session: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			test.prepare(d)
			first := d.getToken(test.want)
			if d.getToken("") != first || d.logins() != 1 {
				t.Error("the login was not kept")
			}
			d.wantSealed(false)
			d.later() // each minute it is tried in silence
			if d.getToken("") != first {
				t.Error("the login was not kept")
			}
		})
	}
}

// Nobody is there to unlock it: no wait, no question, one warning.
func TestLockedKeyringWithoutAPerson(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.lock()
	r := d.run("status")
	if r.code != 1 || !strings.Contains(r.stderr, "error: reading the token cache: the keyring cannot be used: it is locked\nhint: unlock") {
		t.Errorf("status: %+v", r)
	}
	r = d.run("logout", "--all")
	if r.code != 1 || !strings.Contains(r.stderr, "it is locked\nhint: unlock") {
		t.Errorf("logout: %+v", r)
	}
	second := d.getToken("it is locked; until")
	d.wantSealed(false)
	if d.getToken("") != second || d.logins() != 2 {
		t.Error("the login was not kept")
	}
	if d.property(loginPath, "Collection.Locked") != true {
		t.Error("somebody unlocked the keyring")
	}
}

// A keyring that takes messages and never answers costs seconds, once.
func TestHungKeyring(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.halt()
	began := time.Now()
	second := d.getToken("it did not answer within 5s; until")
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("get-token took %s", took)
	}
	began = time.Now()
	if d.getToken("") != second {
		t.Error("the login was not kept")
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the next one took %s", took)
	}
}

// The way from disk to keyring and back asks nobody, and leaves nothing in the
// clear that should not be.
func TestStorageChanges(t *testing.T) {
	d := newDesk(t).withKeyring()
	first := d.getToken("", "--token-cache-storage=disk")
	d.wantSealed(false)
	if got := d.items(); got != nil {
		t.Errorf("with --token-cache-storage=disk the keyring holds %q", got)
	}
	asked := d.asked()
	for _, storage := range []string{"keyring", "keyring", "disk", "disk", "keyring"} {
		if d.getToken("", "--token-cache-storage="+storage) != first {
			t.Errorf("%s: got another credential", storage)
		}
		d.wantSealed(storage == "keyring")
	}
	if d.asked() != asked {
		t.Errorf("the changes sent %d requests", d.asked()-asked)
	}
	// login moves what it finds, too.
	for storage, sealed := range map[string]bool{"disk": false, "keyring": true} {
		if r := d.run("login", "--token-cache-storage="+storage, "--output=json"); r.code != 0 || !strings.Contains(r.stdout, `"storage": "`+storage+`"`) {
			t.Errorf("login: %+v", r)
		}
		d.wantSealed(sealed)
	}
	// A key that is gone: the sealed entry is of no use, whichever way it goes.
	for _, storage := range []string{"keyring", "disk"} {
		d.getToken("", "--token-cache-storage=keyring")
		logins := d.logins()
		d.forget("tegata")
		d.getToken("", "--token-cache-storage="+storage)
		if d.logins() != logins+1 {
			t.Errorf("%s: %d logins without the key, want one", storage, d.logins()-logins)
		}
		d.wantSealed(storage == "keyring")
	}
}

// forget removes the items of a service from the keyring, as its owner may.
func (d *desk) forget(service string) {
	d.t.Helper()
	for _, path := range d.property(loginPath, "Collection.Items").([]dbus.ObjectPath) {
		if d.property(path, "Item.Attributes").(map[string]string)["service"] == service {
			if err := d.bus.Object("org.freedesktop.secrets", path).Call("org.freedesktop.Secret.Item.Delete", 0).Err; err != nil {
				d.t.Fatal(err)
			}
		}
	}
}

// With --token-cache-storage=disk nobody connects to the bus.
func TestDiskAsksNoKeyring(t *testing.T) {
	d := newDesk(t)
	socket := filepath.Join(d.runtime, "watched")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	var all sync.WaitGroup
	all.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			connection.Close() //nolint:errcheck // that somebody came is all
		}
	})
	defer func() {
		listener.Close() //nolint:errcheck // it ends the wait
		all.Wait()
	}()
	d.env = append(d.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket)
	for _, command := range [][]string{
		{"get-token"},
		{"get-token"},
		{"get-token", "--force-refresh"},
		{"login"},
		{"status"},
		{"logout", "--all", "--skip-open-browser"},
		{"clean"},
		{"get-token", "--token-cache-storage=none"},
	} {
		if r := d.run(command...); r.code != 0 {
			t.Errorf("%q: %+v", command, r)
		}
		if n := connections.Load(); n != 0 {
			t.Fatalf("%q connected to the bus", command)
		}
	}
	d.getToken("connecting to the D-Bus session: ")
	if connections.Load() == 0 {
		t.Error("with the keyring nobody connected either: this test sees nothing")
	}
}

// Many processes at once: one login without a token, one refresh with an
// expired one, one key.
func TestCrowdSharesOneEntry(t *testing.T) {
	d := newDesk(t).withKeyring()
	crowd := func(what string) {
		t.Helper()
		credentials := make([]string, 20)
		var all sync.WaitGroup
		for i := range credentials {
			all.Go(func() {
				r := d.run("get-token", "--token-cache-storage=keyring")
				if r.code != 0 || r.stderr != "" {
					t.Errorf("%s: get-token ended with %d and said %q", what, r.code, r.stderr)
				}
				credentials[i] = r.stdout
			})
		}
		all.Wait()
		if len(slices.Compact(credentials)) != 1 {
			t.Errorf("%s: got different credentials", what)
		}
	}
	crowd("without a token")
	if d.logins() != 1 || len(d.items()) != 1 {
		t.Errorf("%d logins, want 1; the keyring holds %q", d.logins(), d.items())
	}
	d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = 5 * time.Second })
	d.getToken("", "--force-refresh", "--minimum-validity=1s")
	d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = time.Hour })
	d.provider.Forget()
	crowd("with an expired token")
	if d.provider.Refreshes() != 1 || d.logins() != 0 {
		t.Errorf("%d refreshes, want 1", d.provider.Refreshes())
	}
	d.provider.Forget()
	crowd("with a valid token")
	if d.asked() != 0 {
		t.Errorf("%d requests, want none", d.asked())
	}
	d.wantSealed(true)
}

// Logins of different clients make one key, even at the same moment.
func TestEntriesShareOneKey(t *testing.T) {
	d := newDesk(t).withKeyring()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { d.getToken("", fmt.Sprintf("--oidc-auth-request-extra-params=tenant=%d", i)) })
	}
	all.Wait()
	logins := d.logins()
	for i := range 4 {
		d.getToken("", fmt.Sprintf("--oidc-auth-request-extra-params=tenant=%d", i))
	}
	if d.logins() != logins || len(d.items()) != 1 || len(d.entries()) != 4 {
		t.Errorf("%d logins more, %d entries; the keyring holds %q", d.logins()-logins, len(d.entries()), d.items())
	}
}

func TestLogout(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.provider.Change(func(b *oidctest.Behaviour) { b.Departure = true })
	d.getToken("")
	r := d.run("logout", "--skip-open-browser")
	if r.code != 0 || !strings.HasPrefix(r.stdout, "logged out alice@example.com at ") {
		t.Errorf("logout: %+v", r)
	}
	if r := d.run("status"); r.code != 0 || !strings.HasPrefix(r.stderr, "nobody is logged in") {
		t.Errorf("status: %+v", r)
	}
	if d.getToken(""); d.logins() != 2 {
		t.Errorf("%d logins, want 2", d.logins())
	}
}

// clean takes our key and leaves what belongs to others, another folder of
// ours included.
func TestClean(t *testing.T) {
	d := newDesk(t).withKeyring()
	other := filepath.Join(d.home, "other")
	d.getToken("")
	d.getToken("", "--token-cache-dir="+other)
	d.keep("somebody", "else")
	d.keep("tegata", "by hand")
	r := d.run("clean")
	if r.code != 0 || !strings.Contains(r.stdout, "removed the key in the keyring\nremoved "+filepath.Join(d.cache, "tegata-keyring.lock")+"\n") {
		t.Errorf("clean: %+v", r)
	}
	left, err := os.ReadDir(d.cache)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	want := []string{"somebody else", "tegata " + other, "tegata by hand"}
	if got := d.items(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("the keyring holds %q, want %q", got, want)
	}
	logins := d.logins()
	if d.getToken("", "--token-cache-dir="+other); d.logins() != logins {
		t.Error("the entry of the other folder is gone")
	}

	// Without the keyring the files go, and that is said.
	d.kill()
	r = d.run("clean", "--token-cache-dir="+other)
	if r.code != 1 || !strings.Contains(r.stdout, "removed ") || !strings.Contains(r.stderr, "kept the key in the keyring: the keyring cannot be used: asking the Secret Service: ") {
		t.Errorf("clean without a keyring: %+v", r)
	}
	d.startKeyring(password)
	r = d.run("clean", "--token-cache-dir="+other)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "removed the key in the keyring\n") || r.stderr != "" {
		t.Errorf("clean with the keyring again: %+v", r)
	}
	if got := d.items(); len(got) != 2 {
		t.Errorf("the keyring holds %q", got)
	}
}

// keep puts an item of somebody else's into the keyring.
func (d *desk) keep(service, username string) {
	d.t.Helper()
	var session, item, prompt dbus.ObjectPath
	var output dbus.Variant
	if err := d.bus.Object("org.freedesktop.secrets", servicePath).Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&output, &session); err != nil {
		d.t.Fatal(err)
	}
	properties := map[string]dbus.Variant{
		"org.freedesktop.Secret.Item.Label":      dbus.MakeVariant(service),
		"org.freedesktop.Secret.Item.Attributes": dbus.MakeVariant(map[string]string{"service": service, "username": username}),
	}
	secret := struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, []byte{}, []byte("hunter2"), "text/plain"}
	if err := d.bus.Object("org.freedesktop.secrets", loginPath).Call("org.freedesktop.Secret.Collection.CreateItem", 0, properties, secret, false).Store(&item, &prompt); err != nil {
		d.t.Fatal(err)
	}
}
