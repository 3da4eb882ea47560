// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/plugin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test binary play the plugin and the browser, each in a
// process of its own. The program get-token is the plugin's command of that
// name with the flags that nearly each script needs.
func TestMain(m *testing.M) {
	// With -race each process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){
		"kubectl-oidc_login": func() { os.Exit(runPlugin(os.Args)) },
		"get-token": func() {
			os.Exit(runPlugin(append([]string{
				"kubectl-oidc_login", "get-token", "--oidc-issuer-url=" + os.Getenv("ISSUER"), "--oidc-client-id=kubernetes",
				"--certificate-authority=" + os.Getenv("CA"), "--listen-address=127.0.0.1:0",
			}, os.Args[1:]...)))
		},
		"browser": func() {
			if err := browse(os.Args[1], os.Args[len(os.Args)-1]); err != nil {
				fmt.Fprintln(os.Stderr, "browser:", err)
				os.Exit(1)
			}
		},
	})
}

// runPlugin is what main does. With $AT_TERMINAL standard error is the
// controlling terminal, as it is for a person.
func runPlugin(args []string) int {
	stderr := os.Stderr
	// Whoever runs the tests at a terminal is not the person of the script.
	open := func() (*os.File, error) { return nil, errors.New("this script has no terminal") }
	if os.Getenv("AT_TERMINAL") != "" {
		open = nil
		terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		stderr = terminal
	}
	return plugin.Main(context.Background(), plugin.Env{
		Args: args, Lookup: os.Getenv, Environ: os.Environ, Stdin: os.Stdin, Terminal: open, Stdout: os.Stdout, Stderr: stderr, Version: "v0.0.0-test",
	})
}

// browse is the browser: "browser HABIT… ADDRESS". It writes the page that it
// ends at to $PAGE, and trusts $CA.
func browse(habit, address string) error {
	ca, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		return err
	}
	if trace := os.Getenv("VISITED"); trace != "" {
		file, err := os.OpenFile(trace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		fmt.Fprintln(file, address)
		file.Close()
	}
	agent := oidctest.UserAgent(ca)
	callback, err := url.Parse(address)
	if err != nil {
		return err
	}
	redirect := callback.Query().Get("redirect_uri")
	switch habit {
	case "visit":
	case "ignore":
		return nil
	case "fail":
		os.Exit(3)
	case "chatter":
		// A browser in the foreground, with much to say and no wish to end.
		fmt.Println("Gtk-WARNING: chatter on standard output")
		fmt.Fprintln(os.Stderr, "Gtk-WARNING: chatter on standard error")
		defer time.Sleep(3 * time.Second) //nolint:forbidigo // the browser stays; nobody waits for it
	case "idle":
		// A connection in advance, as browsers open them.
		u, err := url.Parse(redirect)
		if err != nil {
			return err
		}
		idle, err := net.Dial("tcp", u.Host)
		if err != nil {
			return err
		}
		defer idle.Close()
		defer time.Sleep(3 * time.Second) //nolint:forbidigo // the browser stays; nobody waits for it
	case "alien":
		for _, wrong := range []string{"/?error=access_denied", "/?error=access_denied&state=alien", "/?code=alien&state=alien", "/?state=" + callback.Query().Get("state"), "/favicon.ico"} {
			page, err := oidctest.Visit(context.Background(), agent, redirect+wrong, "")
			if err != nil {
				return err
			}
			if page.Status < 400 {
				return fmt.Errorf("the alien %s was answered with %d", wrong, page.Status)
			}
		}
		r, err := http.NewRequest(http.MethodGet, redirect+"/?code=x&state="+callback.Query().Get("state"), nil)
		if err != nil {
			return err
		}
		r.Host = "evil.example.com"
		response, err := agent.Do(r)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMisdirectedRequest {
			return fmt.Errorf("a foreign Host was answered with %d", response.StatusCode)
		}
	default:
		return fmt.Errorf("there is no habit %q", habit)
	}
	page, err := oidctest.Visit(context.Background(), agent, address, os.Getenv("ACCEPT_LANGUAGE"))
	if err != nil {
		return err
	}
	if out := os.Getenv("PAGE"); out != "" {
		var text strings.Builder
		fmt.Fprintf(&text, "%d %s\n", page.Status, page.URL)
		page.Header.Write(&text) //nolint:errcheck // into memory
		text.WriteString("\n" + page.Body)
		// In one step: the script may be waiting for it.
		if err := os.WriteFile(out+".part", []byte(text.String()), 0o600); err != nil {
			return err
		}
		return os.Rename(out+".part", out)
	}
	return nil
}
