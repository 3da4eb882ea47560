// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/directory"
	"github.com/tegata/tegata/test/person"
	"github.com/tegata/tegata/test/process"
)

// laboratory is a directory of people, and a provider that asks it.
type laboratory struct {
	*provider
	people   *directory.Server
	password secret.String // of user01 and of user02
	config   string        // of the provider, without clusters
}

// The entries of user01 and of a group.
const user01 = "uid=user01," + directory.People

func groupEntry(name string) string { return "cn=" + name + "," + directory.GroupsBase }

// newLaboratory starts both. The issuer has a path.
func newLaboratory(t *testing.T) *laboratory {
	t.Helper()
	lab := &laboratory{password: secret.New(rand.Text())}
	var ldif strings.Builder
	for _, one := range [][]string{{"user01", "Taro", "Yamada"}, {"user02", "Hanako", "Suzuki"}} {
		fmt.Fprintf(&ldif, "dn: uid=%[1]s,%[4]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[2]s %[3]s\nsn: %[3]s\nmail: %[1]s@example.com\nuserPassword: %[5]s\n\n",
			one[0], one[1], one[2], directory.People, lab.password.Reveal())
	}
	lab.people = directory.Start(t, ldif.String())
	for _, name := range []string{"laboratory", "night-shift"} {
		lab.people.Add(t, groupEntry(name), map[string][]string{
			"objectClass": {"groupOfNames"}, "cn": {name}, "member": {user01, "uid=user02," + directory.People},
		})
	}
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	lab.config = fmt.Sprintf(`issuer: https://localhost:%d/dex
sources:
- name: lab
  title: The laboratory's directory
  ldap:
    servers: [%s]
    ca: %s
    bind_dn: %s
    bind_password_file: %s
    users: {base_dn: "%s", login: [uid, mail]}
    groups: {base_dn: "%s"}
clients:
- id: kubernetes
  public: true
  redirect_uris: [http://localhost:8000, http://localhost:18000]
  grants: [authorization_code, refresh_token, device_code]
  sources: [lab]
  lifetimes: {id_token: 15s}
`, port, lab.people.LDAPS, lab.people.CAFile, directory.SearcherDN, writeFile(t, "bind-password", directory.SearcherPassword),
		directory.People, directory.GroupsBase)
	lab.provider = serveAt(t, fmt.Sprintf("127.0.0.1:%d", port), lab.config)
	lab.said.neverSay("password", lab.password.Reveal())
	lab.said.neverSay("password of the searcher", directory.SearcherPassword)
	return lab
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// offer adds clusters to the file of the running provider.
func (lab *laboratory) offer(t *testing.T, clusters string) {
	t.Helper()
	const taken = "the configuration was taken over"
	before := strings.Count(lab.heard(), taken)
	if err := os.WriteFile(lab.flags[1], []byte(lab.config+"clusters:\n"+clusters), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lab.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() error {
		if strings.Count(lab.heard(), taken) > before {
			return nil
		}
		return errors.New("the provider does not take its configuration over")
	})
}

// heard is everything that was said so far.
func (p *provider) heard() string {
	p.said.mu.Lock()
	defer p.said.mu.Unlock()
	return p.said.text.String()
}

// removeFromGroup and disable are what the keeper of the directory does.
func (lab *laboratory) removeFromGroup(t *testing.T, dn, group string) {
	t.Helper()
	change := ldap.NewModifyRequest(groupEntry(group), nil)
	change.Delete("member", []string{dn})
	if err := lab.people.Administer(t).Modify(change); err != nil {
		t.Fatal(err)
	}
}

func (lab *laboratory) disable(t *testing.T, dn string) {
	t.Helper()
	change := ldap.NewModifyRequest(dn, nil)
	change.Replace("pwdAccountLockedTime", []string{"000001010000Z"}) // for good
	if err := lab.people.Administer(t).Modify(change); err != nil {
		t.Fatal(err)
	}
}

// desk is where a person sits: an open browser, and a shell whose programs
// ask for addresses to be opened in it.
type desk struct {
	*laptop
	t       *testing.T
	browser *person.Browser
	asked   string // a file with a line for each address
	done    int    // lines of it that were opened
	kubectl string // the program
	config  string // the kubeconfig in use
}

// sitDown seats user01 at a machine that has kubectl and the plugin.
func (lab *laboratory) sitDown(t *testing.T, browser *person.Browser, kubectl string) *desk {
	t.Helper()
	d := &desk{laptop: lab.laptop(lab.password, "chromium"), t: t, browser: browser, kubectl: kubectl}
	d.asked = filepath.Join(d.home, "asked")
	opener := filepath.Join(d.home, "open-in-my-browser")
	if err := os.WriteFile(opener, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$HOME/asked\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.config = filepath.Join(d.home, ".kube", "config")
	d.env = append(d.env, "BROWSER="+opener, "KUBERC=off", "PATH="+filepath.Dir(kubectl)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return d
}

// command is a program that ends with the test.
func (d *desk) command(name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(d.t.Context(), name, args...)
	command.Env, command.WaitDelay = d.env, 5*time.Second
	return command
}

// run runs kubectl, and returns what it says.
func (d *desk) run(args ...string) (string, error) {
	command := d.command(d.kubectl, append([]string{"--kubeconfig", d.config}, args...)...)
	out, err := command.CombinedOutput()
	d.p.said.Write(out)
	d.remember()
	return string(out), err
}

// says fails the test unless kubectl succeeds and says all of this; it may
// take the API server and the directory a while to agree.
func (d *desk) says(want []string, args ...string) {
	d.t.Helper()
	eventually(d.t, 30*time.Second, func() error {
		out, err := d.run(args...)
		for _, text := range want {
			if err == nil && !strings.Contains(out, text) {
				err = fmt.Errorf("it does not say %q", text)
			}
		}
		if err != nil {
			return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	})
}

// refused fails the test unless kubectl fails and says all of this.
func (d *desk) refused(want []string, args ...string) {
	d.t.Helper()
	out, err := d.run(args...)
	for _, text := range want {
		if err == nil || !strings.Contains(out, text) {
			d.t.Fatalf("kubectl %s: %v, want a failure that says %q:\n%s", strings.Join(args, " "), err, text, out)
		}
	}
}

// sh runs lines word for word.
func (d *desk) sh(lines string) {
	d.t.Helper()
	command := d.command("sh", "-e")
	command.Stdin = strings.NewReader(lines)
	if out, err := command.CombinedOutput(); err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
}

// opens opens the next address that a program asks for.
func (d *desk) opens() person.Page {
	d.t.Helper()
	var address string
	eventually(d.t, 30*time.Second, func() error {
		asked := lines(d.t, d.asked)
		if len(asked) <= d.done {
			return errors.New("nothing asks the browser to open an address")
		}
		address = asked[d.done]
		return nil
	})
	d.done++
	page, err := d.browser.Visit(address)
	if err != nil {
		d.t.Fatal(err)
	}
	return page
}

// agrees runs something that asks for a login, agrees in the browser, where
// the person has a session, and returns what was said.
func (d *desk) agrees(run func() (string, error)) string {
	d.t.Helper()
	type answer struct {
		out string
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		out, err := run()
		answers <- answer{out, err}
	}()
	if page := d.opens(); !strings.Contains(page.Text, "Continue as Taro Yamada") {
		d.t.Fatalf("the browser is led to:\n%s", page.Text)
	}
	if page, err := d.browser.Press("continue"); err != nil || !strings.Contains(page.Text, "You are logged in") {
		d.t.Fatalf("after Continue: %v\n%s", err, page.Text)
	}
	got := <-answers
	if got.err != nil {
		d.t.Fatalf("%v\n%s", got.err, got.out)
	}
	return got.out
}

// click clicks with the mouse, and returns what can be read on the page that
// follows.
func click(t *testing.T, b *person.Browser, selector string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		t.Fatalf("clicking %s: %v", selector, err)
	}
	return contents(t, b, "body")
}

// contents is the text of an element, also where it is folded.
func contents(t *testing.T, b *person.Browser, selector string) string {
	t.Helper()
	text, err := chromedp.Run(b.Context(), chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).textContent", selector)))
	if err != nil {
		t.Fatalf("reading %s: %v", selector, err)
	}
	return text
}

// download clicks on a link and returns the file that comes.
func download(t *testing.T, b *person.Browser, selector, name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	dir := t.TempDir()
	err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
			Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		})
		return err
	}), chromedp.Click(chromedp.CSS(selector)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	eventually(t, 30*time.Second, func() error {
		// While it comes in, Chromium has an empty file of that name there, and
		// another one beside it.
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		beside, err := filepath.Glob(filepath.Join(dir, "*.crdownload"))
		if err == nil && (info.Size() == 0 || len(beside) > 0) {
			err = errors.New("the download is not complete")
		}
		return err
	})
	return file
}

// linesForSh are the commands that a page shows for Linux and macOS.
func linesForSh(t *testing.T, b *person.Browser) string {
	t.Helper()
	text, err := chromedp.Run(b.Context(), chromedp.Evaluate[string](
		`[...document.querySelectorAll("details")].find(one => one.innerText.includes("Linux, macOS")).querySelector("pre").textContent`))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fillRoles does what the controller manager does, which is not here: the
// roles view, edit and admin are made of those that aggregate to them.
func fillRoles(t *testing.T, plane *kubetest.ControlPlane) {
	t.Helper()
	var rules []json.RawMessage
	for _, role := range []string{"view", "edit", "admin"} {
		text, err := plane.Kubectl(t.Context(), "get", "clusterrole", "system:aggregate-to-"+role, "-o", "json").Output()
		var found struct {
			Rules []json.RawMessage `json:"rules"`
		}
		if err == nil {
			err = json.Unmarshal(text, &found)
		}
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, found.Rules...)
		patch, err := json.Marshal(map[string]any{"rules": rules})
		if err != nil {
			t.Fatal(err)
		}
		admin(t, plane, "patch", "clusterrole", role, "--type=merge", "-p", string(patch))
	}
}

// Story 3 of the walkthroughs, word for word: people of a directory, an API
// server with the flags of kubespray, and a web page where they get a
// kubeconfig. Nobody pastes a token, but for those who want the older form.
func TestLaboratory(t *testing.T) {
	lab := newLaboratory(t)
	plane := kubetest.New(t, kubetest.Config{ServerFlags: []string{
		"--oidc-issuer-url=" + lab.issuer, "--oidc-ca-file=" + lab.ca(), "--oidc-client-id=kubernetes",
		"--oidc-username-claim=email", "--oidc-groups-claim=groups", "--oidc-groups-prefix=oidc:",
	}})
	if err := plane.WaitIssuer(t.Context(), lab.issuer); err != nil {
		t.Fatal(err)
	}
	fillRoles(t, plane)
	lab.offer(t, fmt.Sprintf("- {name: lab, title: The laboratory's cluster, server: %q, ca: %q, client: kubernetes, namespace: \"{username}\", groups_prefix: \"oidc:\"}\n",
		plane.URL(), plane.CAFile()))

	// A new user knows one address. The page shows who they are, and a button.
	who := person.Person{Login: "user01", Password: lab.password, CAFile: lab.ca()}
	browser := open(t, who)
	d := lab.sitDown(t, browser, plane.Binaries.Kubectl)
	began := time.Now()
	page, err := browser.LogIn(lab.issuer) // one key: Enter
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Taro Yamada", "The laboratory's cluster", "user01@example.com", "oidc:laboratory", "oidc:night-shift", "The laboratory's directory",
	} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("the portal does not say %q:\n%s", want, page.Text)
		}
	}
	d.config = download(t, browser, `a[href$="/clusters/lab/kubeconfig"]`, "lab.yaml") // one click
	if text := read(t, d.config); strings.Contains(text, "token:") || strings.Contains(text, "secret") {
		t.Errorf("a secret in the kubeconfig:\n%s", text)
	}
	out := d.agrees(func() (string, error) { return d.run("auth", "whoami") }) // one click
	took := time.Since(began)
	if !strings.Contains(out, "user01@example.com") || !strings.Contains(out, "oidc:laboratory oidc:night-shift system:authenticated") {
		t.Fatalf("kubectl auth whoami: %s", out)
	}
	t.Logf("from the address to kubectl auth whoami: three clicks, one command, and %s of the machine's time", took.Round(time.Millisecond))
	if took > 2*time.Minute {
		t.Error("it took too long")
	}

	t.Run("rights", func(t *testing.T) { lab.rights(t, d, plane) })
	t.Run("the older form", func(t *testing.T) { lab.olderForm(t, d) })
	t.Run("three failures", func(t *testing.T) { lab.failures(t, d) })
	t.Run("the directory changes", func(t *testing.T) { lab.changes(t, d) })
}

// Steps 5 to 7: what a person may do, one binding after the other.
func (lab *laboratory) rights(t *testing.T, d *desk, plane *kubetest.ControlPlane) {
	d.t = t
	const forbidden = `User "user01@example.com" cannot list resource "%s"`
	d.refused([]string{fmt.Sprintf(forbidden, "nodes"), "Forbidden"}, "get", "node")

	admin(t, plane, "create", "namespace", "user01")
	admin(t, plane, "create", "serviceaccount", "default", "-n", "user01") // no controller makes it here
	eventually(t, 20*time.Second, func() error {
		return plane.Kubectl(t.Context(), "run", "web", "--image=example.com/web", "-n", "user01").Run()
	})
	admin(t, plane, "create", "service", "clusterip", "web", "--tcp=80", "-n", "user01")
	admin(t, plane, "create", "role", "pods-and-services", "--verb=get,list,watch", "--resource=pods,services", "-n", "user01")
	admin(t, plane, "create", "rolebinding", "user01", "--role=pods-and-services", "--user=user01@example.com", "-n", "user01")
	d.says([]string{"web"}, "-n", "user01", "get", "pods,services")
	d.refused([]string{"pod/web", "service/web", fmt.Sprintf(forbidden, "deployments"), fmt.Sprintf(forbidden, "jobs")}, "-n", "user01", "get", "all")

	admin(t, plane, "create", "clusterrolebinding", "laboratory", "--clusterrole=view", "--group=oidc:laboratory")
	d.says([]string{"pod/web", "service/web"}, "-n", "user01", "get", "all")
	d.says([]string{"service/kubernetes"}, "get", "all", "--all-namespaces")

	create := []string{"create", "deployment", "web", "--image=example.com/web"} // the context has the namespace
	d.refused([]string{`"user01@example.com" cannot create resource "deployments"`, `in the namespace "user01"`}, create...)
	admin(t, plane, "create", "rolebinding", "user01-admin", "--clusterrole=admin", "--user=user01@example.com", "-n", "user01")
	d.says([]string{"deployment.apps/web created"}, create...)
	d.says([]string{"deployment.apps/web", "pod/web"}, "get", "all")
}

// Step 4: the older form, which kubectl refreshes by itself.
func (lab *laboratory) olderForm(t *testing.T, d *desk) {
	d.t = t
	if _, err := d.browser.Visit(lab.issuer); err != nil {
		t.Fatal(err)
	}
	isAccessible(t, d.browser, "story3-portal")
	click(t, d.browser, `a[href$="/clusters/lab"]`)
	isAccessible(t, d.browser, "story3-cluster")
	if text := click(t, d.browser, `a[href$="/clusters/lab/legacy"]`); !strings.Contains(text, "secret") {
		t.Errorf("the page warns of nothing:\n%s", text)
	}
	click(t, d.browser, `form[action$="/clusters/lab/legacy"] button`)
	commands := linesForSh(t, d.browser)
	if !strings.Contains(commands, "kubectl config set-credentials") || !strings.Contains(commands, "--auth-provider=oidc") {
		t.Fatal("the page shows no commands with --auth-provider=oidc")
	}
	d.sh(commands)
	plugin := d.config
	defer func() { d.config = plugin }()
	d.config = filepath.Join(d.home, ".kube", "config")
	before := d.stanza()
	d.says([]string{"user01@example.com", "oidc:laboratory"}, "auth", "whoami")

	// Its ID token ends, and kubectl goes on with another one.
	eventually(t, time.Minute, func() error {
		if out, err := d.run("auth", "whoami"); err != nil || !strings.Contains(out, "user01@example.com") {
			t.Fatalf("kubectl auth whoami: %v\n%s", err, out)
		}
		now := d.stanza()
		if now.IDToken == before.IDToken || now.RefreshToken == before.RefreshToken {
			return errors.New("the tokens in the kubeconfig are the old ones")
		}
		return nil
	})
}

// stanza is what the kubeconfig of the older form holds.
type stanza struct {
	IDToken      string `json:"id-token"`
	RefreshToken string `json:"refresh-token"`
}

func (d *desk) stanza() stanza {
	d.t.Helper()
	command := d.command(d.kubectl, "--kubeconfig", d.config, "config", "view", "--raw", "--minify", "-o", "json")
	var config struct {
		Users []struct {
			User struct {
				AuthProvider struct {
					Config stanza `json:"config"`
				} `json:"auth-provider"`
			} `json:"user"`
		} `json:"users"`
	}
	out, err := command.Output()
	if err == nil {
		err = json.Unmarshal(out, &config)
	}
	if err != nil || len(config.Users) != 1 || config.Users[0].User.AuthProvider.Config.IDToken == "" {
		d.t.Fatalf("the kubeconfig has no tokens: %v", err)
	}
	s := config.Users[0].User.AuthProvider.Config
	d.p.said.neverSay("ID token", s.IDToken)
	d.p.said.neverSay("refresh token", s.RefreshToken)
	return s
}

// Step 5: three failures that look alike to people; 403 was above.
func (lab *laboratory) failures(t *testing.T, d *desk) {
	d.t = t
	strange := kubetest.New(t, kubetest.Config{}) // it knows no issuer
	d.refused([]string{"You must be logged in to the server"}, "--server="+strange.URL(), "--certificate-authority="+strange.CAFile(), "get", "node")

	d.says(nil, "config", "set-credentials", "broken", "--auth-provider=oidc", "--auth-provider-arg=idp-issuer-url="+lab.issuer,
		"--auth-provider-arg=client-id=kubernetes", "--auth-provider-arg=id-token=broken")
	d.refused([]string{"ID Token is not a valid JWT"}, "--user=broken", "get", "node")
}

// A group that the directory takes away is gone with the next token, and so is
// a person whom it disables.
func (lab *laboratory) changes(t *testing.T, d *desk) {
	d.t = t
	d.says([]string{"oidc:night-shift"}, "auth", "whoami")
	lab.removeFromGroup(t, user01, "night-shift")
	eventually(t, time.Minute, func() error {
		out, err := d.run("auth", "whoami")
		if err != nil || !strings.Contains(out, "oidc:laboratory") {
			t.Fatalf("kubectl auth whoami: %v\n%s", err, out)
		}
		if strings.Contains(out, "night-shift") {
			return fmt.Errorf("the group is still there:\n%s", out)
		}
		return nil
	})
	if page, err := d.browser.Visit(lab.issuer); err != nil || strings.Contains(page.Text, "night-shift") {
		t.Errorf("the portal: %v\n%s", err, page.Text)
	}

	lab.disable(t, user01)
	d.remotely() // so that nothing waits for a person
	plugin := d.config
	for config, want := range map[string]string{
		plugin:                                   "error: a login is needed",
		filepath.Join(d.home, ".kube", "config"): "invalid_grant",
	} {
		d.config = config
		eventually(t, time.Minute, func() error {
			out, err := d.run("auth", "whoami")
			if err == nil {
				return errors.New("a disabled person is still let in")
			}
			if !strings.Contains(out, want) {
				t.Fatalf("kubectl does not say %q:\n%s", want, out)
			}
			return nil
		})
	}
	if page, err := d.browser.LogIn(lab.issuer); err != nil || !strings.Contains(page.Text, "This user is disabled") {
		t.Errorf("the login page: %v\n%s", err, page.Text)
	}
}
