// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
	"github.com/tegata/tegata/test/process"
)

// block is a part of a page that is set off: what a person types, or what
// they see after that.
type block struct{ language, text string }

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// blocks are those of a page, with other ports.
func blocks(t *testing.T, page string, changes ...string) (all []block) {
	t.Helper()
	text := strings.NewReplacer(changes...).Replace(read(t, filepath.Join("..", "..", "docs", page)))
	for _, found := range fenced.FindAllStringSubmatch(text, -1) {
		all = append(all, block{found[1], found[2]})
	}
	return all
}

// The tutorial of the laboratory does what it says: its commands run as they
// stand there, on other ports.
func TestTutorialOfTheLaboratory(t *testing.T) {
	// What the tutorial has at hand: an API server. That one reads the authority
	// of --dev when it starts, so the provider has been there for a moment.
	p := serve(t, "")
	p.stop(os.Interrupt)
	folder := filepath.Join(t.TempDir(), "laboratory")
	ports := make([]string, 2)
	for i := range ports {
		port, err := process.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = strconv.Itoa(port)
	}
	changes := []string{"8443", ports[0], "3890", ports[1], "/absolute/path/to/laboratory/data", p.dir}
	const page = "tutorial/laboratory-with-ldap.md"
	var flags []string
	for _, one := range blocks(t, page, changes...) {
		if strings.HasPrefix(one.text, "--oidc-") {
			flags = strings.Fields(one.text)
		}
	}
	plane := kubetest.New(t, kubetest.Config{ServerFlags: flags})
	fillRoles(t, plane)
	all := blocks(t, page, append(changes, "https://127.0.0.1:6443", plane.URL())...)

	// A person at this machine, who is the administrator as well.
	browser := open(t, person.Person{Login: "user01", Password: secret.New("first-password"), CAFile: p.ca()})
	lab := &laboratory{provider: p, password: secret.New("first-password")}
	d := lab.sitDown(t, browser, plane.Binaries.Kubectl)
	d.env = append(d.env, "KUBECONFIG="+plane.Kubeconfig())
	t.Cleanup(func() {
		if id, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(folder, "slapd.pid")))); err == nil {
			_ = syscall.Kill(id, syscall.SIGTERM)
		}
	})
	shell := func(lines string) (string, error) {
		command := d.command("sh", "-e")
		command.Stdin = strings.NewReader(lines)
		if command.Dir = folder; strings.HasPrefix(lines, "mkdir laboratory") {
			command.Dir = filepath.Dir(folder)
		}
		out, err := command.CombinedOutput()
		p.said.Write(out)
		d.remember()
		return string(out), err
	}

	ran := 0
	for i, one := range all {
		if one.language != "" || strings.HasPrefix(one.text, "--oidc-") {
			continue
		}
		ran++
		var shown string // after it
		if i+1 < len(all) && all[i+1].language == "console" {
			shown = all[i+1].text
		}
		var out string
		switch {
		case strings.HasPrefix(one.text, "tegata serve "):
			p.flags, p.listen = []string{"--config", filepath.Join(folder, "tegata.yaml")}, "127.0.0.1:"+ports[0]
			p.start()
			if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
				t.Fatal(err)
			}
			if page, err := browser.LogIn(p.issuer); err != nil || !strings.Contains(page.Text, "Taro Yamada") {
				t.Fatalf("the portal: %v\n%s", err, page.Text)
			}
			file := download(t, browser, `a[href$="/clusters/lab/kubeconfig"]`, "lab.yaml")
			if err := os.Rename(file, filepath.Join(folder, "lab.yaml")); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(one.text, "auth whoami\n"):
			out = d.agrees(func() (string, error) { return shell(one.text) })
		default:
			for _, lines := range steps(one.text) {
				eventually(t, 30*time.Second, func() (err error) { // a role takes a moment to be known
					out, err = shell(lines)
					if (err != nil) != strings.HasPrefix(shown, "Error from server") {
						return fmt.Errorf("%s%w\n%s", lines, err, out)
					}
					return nil
				})
			}
		}
		for want := range strings.Lines(shown) {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("after\n%sthe page shows\n%sand there is\n%s", one.text, want, out)
			}
		}
	}
	if ran < 10 {
		t.Errorf("%d blocks were run: the page has lost its commands", ran)
	}
}

// steps are the lines of a block, each by itself where a line is a command.
func steps(text string) []string {
	if strings.Contains(text, "<<'END'") || strings.Contains(text, "\\\n") || strings.Contains(text, "mkdir") {
		return []string{text}
	}
	return strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
}
