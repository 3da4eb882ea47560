// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/test/person"
)

// The portal in a browser that runs no script, on a phone and on a desktop:
// kubeconfigs that kubectl reads, lines that a shell runs, and logins that end.
func TestPortalWithoutScript(t *testing.T) {
	binaries, err := kubetest.Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	lab := newLaboratory(t)
	// Nobody answers there: this is about what the portal hands out.
	lab.offer(t, fmt.Sprintf(`- {name: production, title: Production, server: "https://k8s.example.com:6443", ca: %[1]q, client: kubernetes, namespace: "{username}"}
- {name: staging, server: "https://127.0.0.1:6443/a/path", client: kubernetes, username_prefix: "it's $HOME: "}
- {name: hidden, server: "https://k8s.example.com:6444", client: kubernetes, groups: [nobody-is-in-it]}
`, lab.people.CAFile))
	who := person.Person{Login: "user01", Password: lab.password, CAFile: lab.ca()}
	for _, width := range []int64{320, 1280} {
		t.Run(fmt.Sprintf("%d pixels", width), func(t *testing.T) {
			browser := open(t, who)
			if err := errors.Join(withoutScript(browser), chromedp.Do(browser.Context(), chromedp.EmulateViewport(width, 800))); err != nil {
				t.Fatal(err)
			}
			complaints := listen(t, browser)
			page, err := browser.LogIn(lab.issuer)
			if err != nil || !strings.Contains(page.Text, "Production") || strings.Contains(page.Text, "hidden") {
				t.Fatalf("the portal: %v\n%s", err, page.Text)
			}
			d := lab.sitDown(t, browser, binaries.Kubectl)
			d.takesKubeconfigs()
			d.endsADevice()
			lab.endsABrowser(t, browser, who)
			d.entersACode()
			if text := click(t, browser, `form[action$="/logout/confirm"] button`); !strings.Contains(text, "You are logged out") {
				t.Errorf("after logging out:\n%s", text)
			}
			if page, err := browser.Visit(lab.issuer); err != nil || page.Title != "Log in · "+strings.TrimPrefix(strings.TrimSuffix(lab.issuer, "/dex"), "https://") {
				t.Errorf("after logging out, the portal is %q, %v", page.Title, err)
			}
			if got := complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}

// takesKubeconfigs takes the one for all clusters, and each as lines for a
// shell, which say the same.
func (d *desk) takesKubeconfigs() {
	d.t.Helper()
	d.config = download(d.t, d.browser, `a[href$="/dex/kubeconfig"]`, "kubeconfig.yaml")
	contexts, err := d.run("config", "get-contexts", "--no-headers")
	user := strings.TrimPrefix(d.p.issuer, "https://") + "#kubernetes"
	if got := strings.Fields(contexts); err != nil || !slices.Equal(got, []string{"*", "production", "production", user, "user01", "staging", "staging", user}) {
		d.t.Fatalf("kubectl config get-contexts: %v\n%s", err, contexts)
	}
	downloaded := d.config
	for _, name := range []string{"production", "staging"} {
		click(d.t, d.browser, fmt.Sprintf(`a[href$="/clusters/%s"]`, name))
		d.sh(linesForSh(d.t, d.browser))
		var views [2]string
		for i, config := range []string{downloaded, filepath.Join(d.home, ".kube", "config")} {
			d.config = config
			if views[i], err = d.run("config", "view", "--minify", "--flatten", "--context", name, "-o", "json"); err != nil {
				d.t.Fatal(err, views[i])
			}
			// What nobody downloads: a hint of how to install the plugin, and
			// which context is the current one.
			views[i] = withoutLines(views[i], `"installHint"`, `"current-context"`)
		}
		if views[0] != views[1] {
			d.t.Errorf("the lines of %s say something else than its file:\n%s\n%s", name, views[1], views[0])
		}
		if _, err := d.browser.Visit(d.p.issuer); err != nil {
			d.t.Fatal(err)
		}
	}
	d.config = downloaded
}

func withoutLines(text string, with ...string) string {
	var kept []string
	for line := range strings.Lines(text) {
		keep := true
		for _, word := range with {
			keep = keep && !strings.Contains(line, word)
		}
		if keep {
			kept = append(kept, strings.TrimSuffix(strings.TrimSpace(line), ","))
		}
	}
	return strings.Join(kept, "\n")
}

// token is the plugin as the kubeconfig calls it, ready to start.
func (d *desk) token(more ...string) *exec.Cmd {
	d.t.Helper()
	args, err := d.run("config", "view", "--raw", "--minify", "-o", `jsonpath={range .users[0].user.exec.args[*]}{@}{"\n"}{end}`)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.command(filepath.Join(binDir, "kubectl-oidc_login"), append(strings.Fields(args), more...)...)
}

// endsADevice logs the plugin in, and ends its login in the portal: it gets no
// token any more.
func (d *desk) endsADevice() {
	d.t.Helper()
	login := d.token()
	d.agrees(func() (string, error) { return "", login.Run() })
	if out, err := d.token("--force-refresh").CombinedOutput(); err != nil {
		d.t.Fatalf("a refresh: %v\n%s", err, withoutLines(string(out), "token"))
	}
	d.remember()
	if _, err := d.browser.Visit(d.p.issuer); err != nil {
		d.t.Fatal(err)
	}
	if text := click(d.t, d.browser, `nav a[href$="/account/logins"]`); !strings.Contains(text, "kubernetes") {
		d.t.Fatalf("the device is not there:\n%s", text)
	}
	if text := click(d.t, d.browser, `button[value=device]`); strings.Contains(text, "kubernetes") {
		d.t.Errorf("the device is still there:\n%s", text)
	}
	refresh := d.token("--force-refresh")
	refresh.Env = append(refresh.Env, "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=") // so that nothing waits for a person
	if out, err := refresh.CombinedOutput(); err == nil || !strings.Contains(string(out), "error: a login is needed") {
		d.t.Errorf("after its end the plugin says %v: %s", err, withoutLines(string(out), "token"))
	}
}

// endsABrowser ends the session of another browser.
func (lab *laboratory) endsABrowser(t *testing.T, browser *person.Browser, who person.Person) {
	t.Helper()
	other := open(t, who)
	if page, err := other.LogIn(lab.issuer); err != nil || !strings.Contains(page.Text, "Production") {
		t.Fatalf("the other browser: %v\n%s", err, page.Text)
	}
	if _, err := browser.Visit(lab.issuer + "/account/logins"); err != nil {
		t.Fatal(err)
	}
	if text := click(t, browser, `li:not(:has(small)) button[value=browser]`); strings.Contains(text, "Log out everywhere else") {
		t.Errorf("the other browser is still there:\n%s", text)
	}
	if page, err := other.Visit(lab.issuer); err != nil || strings.Contains(page.Text, "Production") {
		t.Errorf("the other browser still shows, %v:\n%s", err, page.Text)
	}
	if page, err := browser.Visit(lab.issuer); err != nil || !strings.Contains(page.Text, "Production") {
		t.Errorf("this browser has ended too, %v:\n%s", err, page.Text)
	}
}

// entersACode types the code that the plugin shows, by way of the portal.
func (d *desk) entersACode() {
	d.t.Helper()
	command := d.token("--grant-type=device-code", "--skip-open-browser", "--token-cache-storage=none")
	var shown lockedBuffer
	command.Stderr = &shown
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	var code string
	eventually(d.t, 20*time.Second, func() error {
		_, after, found := strings.Cut(shown.String(), "user_code=")
		if !found || len(after) < 10 {
			return fmt.Errorf("the plugin shows no code: %s", shown.String())
		}
		code = strings.Fields(after)[0]
		return nil
	})
	click(d.t, d.browser, `nav a[href$="/device"]`)
	if err := chromedp.Do(d.browser.Context(), chromedp.SendKeys(chromedp.CSS("#user_code"), strings.ToLower(code))); err != nil {
		d.t.Fatal(err)
	}
	if text := click(d.t, d.browser, `form[action$="/device"] button`); !strings.Contains(text, code) {
		d.t.Fatalf("the page does not ask:\n%s", text)
	}
	if page, err := d.browser.Press("allow"); err != nil || !strings.Contains(page.Text, "The device is logged in") {
		d.t.Fatalf("after Allow: %v\n%s", err, page.Text)
	}
	if err := command.Wait(); err != nil {
		d.t.Errorf("the plugin: %v\n%s", err, shown.String())
	}
	// It is a device as others are; the button below all of them ends it.
	if _, err := d.browser.Visit(d.p.issuer + "/account/logins"); err != nil {
		d.t.Fatal(err)
	}
	if text := click(d.t, d.browser, `button[value=devices]`); !strings.Contains(text, "No program has a login of yours") {
		d.t.Errorf("after the end of all devices:\n%s", text)
	}
}
