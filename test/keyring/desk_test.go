// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package keyring plays logins whose tokens are sealed with a key in a real
// keyring: the plugin's own binary, a Secret Service (gnome-keyring) on a
// D-Bus session of its own, and the provider of oidctest.
//
//   - desk_test.go: the parts and how they are started
//   - prompt_test.go: the person who unlocks the keyring
//   - keyring_test.go: what is promised
package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidctest"
)

// browserVariable makes the test binary the browser, which trusts the
// authority in this file.
const browserVariable = "TEGATA_KEYRING_BROWSER"

// plugin is the command under test, as "make build" makes it.
var plugin string

func TestMain(m *testing.M) {
	if ca := os.Getenv(browserVariable); ca != "" {
		if err := browse(ca, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exit.Failed)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tegata-keyring-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exit.Failed
	}
	defer os.RemoveAll(dir)
	plugin = filepath.Join(dir, "kubectl-oidc_login")
	build := exec.Command("go", "build", "-trimpath", "-o", plugin, "../../cmd/kubectl-oidc_login")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
		return exit.Failed
	}
	return m.Run()
}

func browse(ca, address string) error {
	text, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	_, err = oidctest.Visit(context.Background(), oidctest.UserAgent(text), address, "")
	return err
}

// password opens the keyring.
const password = "correct horse battery staple"

// desk is a person's machine: a home, a session bus, a keyring.
type desk struct {
	t        *testing.T
	provider *oidctest.Provider
	home     string
	cache    string   // the folder of the token cache
	runtime  string   // XDG_RUNTIME_DIR
	env      []string // of each program
	bus      *dbus.Conn
	service  *exec.Cmd // the keyring's daemon; nil if it does not run
}

// newDesk starts a bus, and no keyring yet.
func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Parallel()
	// The path of a socket is short, so it is no folder of the test's name.
	dir, err := os.MkdirTemp("", "tegata-desk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, provider: oidctest.New(t), home: filepath.Join(dir, "home"), runtime: filepath.Join(dir, "run")}
	d.cache = filepath.Join(d.home, ".kube", "cache", "oidc-login")
	socket := filepath.Join(d.runtime, "bus")
	config := filepath.Join(dir, "bus.conf")
	// No service is started because somebody asks for it: a keyring that was
	// killed stays away.
	if err := errors.Join(os.Mkdir(d.home, 0o700), os.Mkdir(d.runtime, 0o700), os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=`+socket+`</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
`), 0o600)); err != nil {
		t.Fatal(err)
	}
	browser, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.env = []string{
		"HOME=" + d.home, "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + d.runtime, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + socket,
		"XDG_DATA_HOME=" + filepath.Join(d.home, ".local", "share"), "LC_ALL=C",
		"BROWSER=" + browser, browserVariable + "=" + d.provider.CAFile(), "GORACE=atexit_sleep_ms=0",
		"OIDC_LOGIN_OIDC_ISSUER_URL=" + string(d.provider.Issuer), "OIDC_LOGIN_OIDC_CLIENT_ID=kubernetes",
		"OIDC_LOGIN_CERTIFICATE_AUTHORITY=" + d.provider.CAFile(), "OIDC_LOGIN_LISTEN_ADDRESS=127.0.0.1:0",
	}
	d.start("dbus", "dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile")
	d.eventually("the bus answers", func() bool {
		d.bus, err = dbus.Connect("unix:path=" + socket)
		return err == nil
	})
	t.Cleanup(func() { d.bus.Close() }) //nolint:errcheck // the bus may be gone
	return d
}

// withKeyring starts an unlocked keyring too.
func (d *desk) withKeyring() *desk {
	d.t.Helper()
	d.startKeyring(password)
	return d
}

// start starts a program of the given Debian package that lives as long as
// the test.
func (d *desk) start(pkg, name string, args ...string) *exec.Cmd {
	d.t.Helper()
	c := d.prepare(pkg, name, args...)
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { stop(c) })
	return c
}

func (d *desk) prepare(pkg, name string, args ...string) *exec.Cmd {
	d.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		d.t.Fatalf("%s is missing; install the package %s, or run tools/needs.sh", name, pkg)
	}
	c := exec.Command(path, args...)
	c.Env = d.env
	return c
}

// stop kills a program, even one that was halted; a second time is fine.
func stop(c *exec.Cmd) {
	if c.ProcessState == nil {
		c.Process.Kill() //nolint:errcheck // it may have ended
		c.Wait()         //nolint:errcheck // it was killed
	}
}

// startKeyring starts the Secret Service. The password creates its collection,
// or unlocks it; without one there is none, or it stays locked.
func (d *desk) startKeyring(password string) {
	d.t.Helper()
	args := []string{"--foreground", "--components=secrets"}
	if password == "" {
		args = append(args, "--start")
	} else {
		args = append(args, "--unlock")
	}
	c := d.prepare("gnome-keyring", "gnome-keyring-daemon", args...)
	c.Stdin = strings.NewReader(password)
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { stop(c) })
	d.service = c
	d.eventually("the keyring answers", func() bool { return d.owned("org.freedesktop.secrets") })
}

// kill ends the Secret Service as a crash would.
func (d *desk) kill() {
	d.t.Helper()
	stop(d.service)
	d.eventually("the keyring is gone", func() bool { return !d.owned("org.freedesktop.secrets") })
}

func (d *desk) owned(name string) (owned bool) {
	d.t.Helper()
	if err := d.bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned); err != nil {
		d.t.Fatal(err)
	}
	return owned
}

// eventually waits for another process.
func (d *desk) eventually(what string, happened func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited in vain: %s", what)
		}
	}
}

const (
	servicePath = "/org/freedesktop/secrets"
	loginPath   = "/org/freedesktop/secrets/collection/login"
)

// lock locks the keyring, as a screen saver does.
func (d *desk) lock() {
	d.t.Helper()
	call := d.bus.Object("org.freedesktop.secrets", servicePath).Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{loginPath})
	if call.Err != nil {
		d.t.Fatal(call.Err)
	}
	d.eventually("the keyring is locked", func() bool { return d.property(loginPath, "Collection.Locked") == true })
}

func (d *desk) property(path dbus.ObjectPath, name string) any {
	d.t.Helper()
	value, err := d.bus.Object("org.freedesktop.secrets", path).GetProperty("org.freedesktop.Secret." + name)
	if err != nil {
		d.t.Fatal(err)
	}
	return value.Value()
}

// items are the attributes of all that is in the keyring, "service username"
// each.
func (d *desk) items() (items []string) {
	d.t.Helper()
	for _, path := range d.property(loginPath, "Collection.Items").([]dbus.ObjectPath) {
		attributes := d.property(path, "Item.Attributes").(map[string]string)
		items = append(items, attributes["service"]+" "+attributes["username"])
	}
	return items
}

// result is what a command did.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// command prepares the plugin.
func (d *desk) command(args ...string) *exec.Cmd {
	c := exec.Command(plugin, args...)
	c.Env = d.env
	return c
}

// run runs the plugin to its end, whatever that is.
func (d *desk) run(args ...string) result {
	d.t.Helper()
	return d.finish(d.command(args...))
}

func (d *desk) finish(c *exec.Cmd) result {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	began := time.Now()
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	c.Wait() //nolint:errcheck // its exit code says it
	r := result{stdout.String(), stderr.String(), c.ProcessState.ExitCode(), time.Since(began)}
	for _, issued := range d.provider.Issued() {
		if strings.Contains(r.stderr, issued) || len(c.Args) > 1 && c.Args[1] != "get-token" && strings.Contains(r.stdout, issued) {
			d.t.Errorf("%q: the output holds a secret", c.Args)
		}
	}
	return r
}

// getToken runs get-token with the keyring, which must succeed with want on
// standard error: nothing, or the reason of the one warning. It may be called
// from many goroutines.
func (d *desk) getToken(want string, args ...string) string {
	d.t.Helper()
	r := d.run(append([]string{"get-token", "--token-cache-storage=keyring"}, args...)...)
	if r.code != 0 || !strings.Contains(r.stdout, `"token":"ey`) {
		d.t.Errorf("get-token ended with %d and said %q", r.code, r.stderr)
		return ""
	}
	switch begins := "warning: the keyring cannot be used: " + want; {
	case want == "" && r.stderr != "":
		d.t.Errorf("get-token said %q", r.stderr)
	case want != "" && (!strings.HasPrefix(r.stderr, begins) || strings.Count(r.stderr, "\n") != 1):
		d.t.Errorf("get-token said %q, want one warning that begins with %q", r.stderr, begins)
	}
	return r.stdout
}

// asked counts all requests to the provider.
func (d *desk) asked() (total int) {
	for _, count := range d.provider.Counts() {
		total += count
	}
	return total
}

// logins counts those at the browser.
func (d *desk) logins() int { return d.provider.Count(oidctest.Authorization) }

// exposed are the files at home that hold something that the provider gave
// out, as it is or encoded.
func (d *desk) exposed() (files []string) {
	d.t.Helper()
	issued := d.provider.Issued()
	if len(issued) == 0 {
		d.t.Fatal("the provider has given nothing out")
	}
	err := filepath.WalkDir(d.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range issued {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
				if bytes.Contains(text, []byte(form)) {
					files = append(files, filepath.Base(path))
					return nil
				}
			}
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// wantSealed checks that the entries are sealed, or that they are not.
func (d *desk) wantSealed(want bool) {
	d.t.Helper()
	if exposed := d.exposed(); want != (len(exposed) == 0) {
		d.t.Errorf("tokens lie in the clear in %q; sealed is %t", exposed, want)
	}
	text, storage := d.run("status", "--output=json").stdout, "disk"
	if want {
		storage = "keyring"
	}
	if !strings.Contains(text, `"storage": "`+storage+`"`) {
		d.t.Errorf("status does not say %s: %s", storage, text)
	}
}

// later makes it a minute since the keyring was missed.
func (d *desk) later() {
	d.t.Helper()
	changed := 0
	for _, path := range d.entries() {
		text, err := os.ReadFile(path)
		if err != nil {
			d.t.Fatal(err)
		}
		before, after, ok := strings.Cut(string(text), `"keyring_missed":`)
		if !ok {
			continue
		}
		changed++
		_, after, _ = strings.Cut(after, "}")
		if err := os.WriteFile(path, []byte(before+`"keyring_missed":1700000000}`+after), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	if changed == 0 {
		d.t.Fatal("no entry says that the keyring was missed")
	}
}

// entries are the files of logins.
func (d *desk) entries() []string {
	d.t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.cache, "tegata-"+strings.Repeat("?", 64)+".json"))
	if err != nil || len(paths) == 0 {
		d.t.Fatalf("there is no entry (%v)", err)
	}
	return paths
}

// halt stops the keyring without ending it: it takes messages and answers none.
func (d *desk) halt() {
	d.t.Helper()
	if err := d.service.Process.Signal(syscall.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
}
