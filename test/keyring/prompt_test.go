// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// person answers the questions of gnome-keyring, which a desktop shows in a
// window: they come over the bus, and the password goes back encrypted.
type person struct {
	bus    *dbus.Conn
	answer answer
	asked  atomic.Int32

	mu        sync.Mutex // guards the fields below
	exchanges map[dbus.ObjectPath]*exchange
}

type answer int

const (
	types   answer = iota // the password
	cancels               // the question
	ignores               // it for ever
)

// sits puts a person in front of the desk's screen.
func (d *desk) sits(how answer) *person {
	d.t.Helper()
	d.env = append(d.env, "DISPLAY=:0")
	p := &person{bus: d.bus, answer: how, exchanges: map[dbus.ObjectPath]*exchange{}}
	if err := d.bus.Export(p, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"); err != nil {
		d.t.Fatal(err)
	}
	if reply, err := d.bus.RequestName("org.gnome.keyring.SystemPrompter", 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		d.t.Fatalf("taking the prompter's name: %d, %v", reply, err)
	}
	return p
}

// BeginPrompting, PerformPrompt and StopPrompting are called over the bus.
func (p *person) BeginPrompting(sender dbus.Sender, callback dbus.ObjectPath) *dbus.Error {
	x := newExchange()
	p.mu.Lock()
	p.exchanges[callback] = x
	p.mu.Unlock()
	// Not before the answer to this call, which is sent when it returns.
	time.AfterFunc(100*time.Millisecond, func() { p.reply(sender, callback, "", x.public()) })
	return nil
}

func (p *person) PerformPrompt(sender dbus.Sender, callback dbus.ObjectPath, _ string, _ map[string]dbus.Variant, theirs string) *dbus.Error {
	p.asked.Add(1)
	p.mu.Lock()
	x := p.exchanges[callback]
	p.mu.Unlock()
	switch p.answer {
	case types:
		sealed, err := x.seal(theirs, password)
		if err != nil {
			return dbus.MakeFailedError(err)
		}
		p.reply(sender, callback, "yes", sealed)
	case cancels:
		p.reply(sender, callback, "no", x.public())
	case ignores:
	}
	return nil
}

func (p *person) StopPrompting(sender dbus.Sender, callback dbus.ObjectPath) *dbus.Error {
	p.bus.Object(string(sender), callback).Go("org.gnome.keyring.internal.Prompter.Callback.PromptDone", dbus.FlagNoReplyExpected, nil)
	return nil
}

func (p *person) reply(to dbus.Sender, callback dbus.ObjectPath, text, exchange string) {
	p.bus.Object(string(to), callback).Go("org.gnome.keyring.internal.Prompter.Callback.PromptReady", dbus.FlagNoReplyExpected, nil,
		text, map[string]dbus.Variant{}, exchange)
}

// exchange is libgcr's sx-aes-1: a Diffie-Hellman exchange in the group of RFC
// 3526, section 2, and AES-128-CBC.
type exchange struct{ private *big.Int }

var group, _ = new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"+
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"+
	"83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF", 16)

func newExchange() *exchange {
	raw := make([]byte, 32)
	rand.Read(raw) //nolint:errcheck // never fails
	return &exchange{new(big.Int).SetBytes(raw)}
}

func (x *exchange) public() string {
	mine := new(big.Int).Exp(big.NewInt(2), x.private, group)
	return "[sx-aes-1]\npublic=" + base64.StdEncoding.EncodeToString(mine.Bytes()) + "\n"
}

func (x *exchange) seal(theirs, text string) (string, error) {
	_, encoded, ok := strings.Cut(theirs, "public=")
	encoded, _, _ = strings.Cut(encoded, "\n")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return "", fmt.Errorf("%q is no exchange: %w", theirs, err)
	}
	shared := make([]byte, (group.BitLen()+7)/8)
	new(big.Int).Exp(new(big.Int).SetBytes(public), x.private, group).FillBytes(shared)
	key, err := hkdf.Key(sha256.New, shared, nil, "", 16)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	pad := aes.BlockSize - len(text)%aes.BlockSize
	box := append([]byte(text), bytes.Repeat([]byte{byte(pad)}, pad)...)
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv) //nolint:errcheck // never fails
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(box, box)
	return x.public() + "secret=" + base64.StdEncoding.EncodeToString(box) + "\niv=" + base64.StdEncoding.EncodeToString(iv) + "\n", nil
}

// Twenty calls at a locked keyring: one question, and no login.
func TestPersonUnlocksTheKeyring(t *testing.T) {
	d := newDesk(t).withKeyring()
	first := d.getToken("")
	asked := d.asked()
	d.lock()
	p := d.sits(types)
	credentials := make([]string, 20)
	var all sync.WaitGroup
	for i := range credentials {
		all.Go(func() { credentials[i] = d.getToken("") })
	}
	all.Wait()
	if !slices.Equal(slices.Compact(credentials), []string{first}) {
		t.Error("got other credentials than before")
	}
	if n := p.asked.Load(); n != 1 || d.asked() != asked {
		t.Errorf("%d questions, want 1, and %d requests, want none", n, d.asked()-asked)
	}
	d.wantSealed(true)
}

func TestPersonUnlocksForLogoutAndClean(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.lock()
	p := d.sits(types)
	if r := d.run("logout", "--all", "--skip-open-browser"); r.code != 0 || !strings.HasPrefix(r.stdout, "logged out alice") {
		t.Errorf("logout: %+v", r)
	}
	d.lock()
	// status asks nobody.
	if r := d.run("status"); r.code != 0 || p.asked.Load() != 1 {
		t.Errorf("status: %+v, and %d questions", r, p.asked.Load())
	}
	if r := d.run("clean"); r.code != 0 || p.asked.Load() != 2 || len(d.items()) != 0 {
		t.Errorf("clean: %+v, %d questions, left: %q", r, p.asked.Load(), d.items())
	}
}

// At a terminal it is said what the command waits for.
func TestWaitIsToldAtATerminal(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.lock()
	d.sits(types)
	script := d.prepare("bsdutils", "script", "-qec", plugin+" get-token --token-cache-storage=keyring", "/dev/null")
	script.Env = append(d.env, "SHELL=/bin/sh")
	screen, err := script.Output()
	if err != nil || strings.Count(string(screen), "waiting for the keyring to be unlocked\r\n") != 1 || !strings.Contains(string(screen), `"token":"ey`) {
		t.Errorf("got %v and %q", err, screen)
	}
	if d.logins() != 1 {
		t.Errorf("%d logins, want 1", d.logins())
	}
}

func TestPersonDoesNotUnlockTheKeyring(t *testing.T) {
	d := newDesk(t).withKeyring()
	d.getToken("")
	d.lock()
	p := d.sits(cancels)
	d.getToken("it is locked; until")
	d.wantSealed(false)
	if d.logins() != 2 || p.asked.Load() != 1 {
		t.Errorf("%d logins, want 2, and %d questions, want 1", d.logins(), p.asked.Load())
	}
}

// Ctrl-C ends the wait for the person.
func TestInterruptWhileAPersonIsAsked(t *testing.T) {
	for _, command := range [][]string{{"get-token", "--token-cache-storage=keyring"}, {"logout", "--all"}, {"clean"}} {
		t.Run(command[0], func(t *testing.T) {
			d := newDesk(t).withKeyring()
			d.getToken("")
			if command[0] == "clean" {
				// Only the key is left to be removed.
				if r := d.run("logout", "--all", "--skip-open-browser"); r.code != 0 {
					t.Fatalf("logout: %+v", r)
				}
			}
			logins := d.logins()
			d.lock()
			p := d.sits(ignores)
			c := d.command(command...)
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stop(c) })
			d.eventually("a person is asked", func() bool { return p.asked.Load() == 1 })
			began := time.Now()
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			var ended *exec.ExitError
			if err := c.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 130 {
				t.Errorf("got %v, want exit code 130", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %s to end", took)
			}
			if command[0] != "clean" && stdout.Len()+stderr.Len() > 0 {
				t.Errorf("got the output %q and %q, want none", stdout.String(), stderr.String())
			}
			if d.logins() != logins {
				t.Errorf("%d logins, want none", d.logins()-logins)
			}
			if command[0] != "clean" {
				d.entries() // still there
			}
		})
	}
}
