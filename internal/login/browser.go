// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNoBrowser says that there is nothing here that could open an address.
var ErrNoBrowser = errors.New("no browser was found")

// Browser starts the end user's browser: the command that they gave, else
// $BROWSER, else the system's opener.
type Browser struct {
	// Command is a command line with arguments; %s is the address, which is
	// added at the end if there is no %s. It is not given to a shell.
	Command string

	// Lookup reads the environment.
	Lookup func(string) string
}

// CanOpen reports whether a person is likely to see a browser that is started
// from here.
func (b Browser) CanOpen() bool {
	switch {
	case b.Chosen():
		return true
	case runtime.GOOS == "darwin" || runtime.GOOS == "windows":
		return true
	}
	return b.Lookup("DISPLAY") != "" || b.Lookup("WAYLAND_DISPLAY") != "" || b.isWSL()
}

// Chosen reports whether somebody said which browser to start. They know that
// it will be seen, in a place that looks as if none could be.
func (b Browser) Chosen() bool { return b.Command != "" || b.Lookup("BROWSER") != "" }

// Installed reports whether there is a program that could be started.
func (b Browser) Installed() bool {
	commands, err := b.commands()
	if err != nil {
		return false
	}
	for _, words := range commands {
		if _, err := exec.LookPath(words[0]); err == nil {
			return true
		}
	}
	return false
}

// Open starts the browser and returns at once: the browser lives on in a
// session of its own, and its output is nobody's. If it ends with a failure
// while the program still runs, failed is called, from another goroutine,
// which ends with the browser or with the program.
func (b Browser) Open(address string, failed func(error)) error {
	last := ErrNoBrowser
	commands, err := b.commands()
	if err != nil {
		return err
	}
	for _, words := range commands {
		path, err := exec.LookPath(words[0])
		if err != nil {
			if b.Command != "" {
				last = fmt.Errorf("the browser command %q was not found", words[0])
			}
			continue
		}
		// #nosec G204: the command is the end user's own.
		browser := exec.Command(path, withAddress(words[1:], address)...)
		detach(browser)
		if err := browser.Start(); err != nil {
			last = fmt.Errorf("starting %s: %w", path, innermost(err))
			continue
		}
		go func() {
			if err := browser.Wait(); err != nil {
				failed(fmt.Errorf("%s ended: %w", filepath.Base(path), err))
			}
		}()
		return nil
	}
	return last
}

// Check reports whether the command can be read.
func (b Browser) Check() error {
	_, err := b.commands()
	return err
}

// commands are the candidates, in order.
func (b Browser) commands() ([][]string, error) {
	if b.Command != "" {
		// A path with blanks in it is one word if it exists: that is how the
		// peer reads this flag.
		if _, err := exec.LookPath(b.Command); err == nil {
			return [][]string{{b.Command}}, nil
		}
		words, err := splitCommand(b.Command, os.PathSeparator == '/')
		if err != nil {
			return nil, fmt.Errorf("reading the browser command: %w", err)
		}
		if len(words) == 0 {
			return nil, ErrNoBrowser
		}
		return [][]string{words}, nil
	}
	var commands [][]string
	for line := range strings.SplitSeq(b.Lookup("BROWSER"), string(os.PathListSeparator)) {
		if words, err := splitCommand(line, os.PathSeparator == '/'); err == nil && len(words) > 0 {
			commands = append(commands, words)
		}
	}
	switch runtime.GOOS {
	case "darwin":
		commands = append(commands, []string{"open"})
	case "windows":
		commands = append(commands, []string{"rundll32", "url.dll,FileProtocolHandler"})
	default:
		if b.isWSL() {
			// Not powershell.exe nor cmd.exe: they would read the address as a
			// part of a program, and the address is the provider's.
			commands = append(commands, []string{"wslview"}, []string{"rundll32.exe", "url.dll,FileProtocolHandler"})
		}
		commands = append(commands, []string{"xdg-open"}, []string{"x-www-browser"}, []string{"www-browser"})
	}
	return commands, nil
}

// isWSL reports whether this Linux runs inside Windows.
func (b Browser) isWSL() bool {
	if runtime.GOOS != "linux" {
		return false
	}
	if b.Lookup("WSL_DISTRO_NAME") != "" {
		return true
	}
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return err == nil && strings.Contains(strings.ToLower(string(text)), "microsoft")
}
