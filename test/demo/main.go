// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo is behind "make demo": a provider, an API server that trusts
// it and a kubectl that asks the credential plugin, all on this machine and
// all in one temporary directory. It ends with "kubectl auth whoami" under a
// person's own name.
//
// BROWSER=none in the environment makes it log in by itself.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/term"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
)

func main() {
	ctx, stop := exit.OnSignal(context.Background())
	var err error
	if len(os.Args) == 3 && os.Args[1] == "browse" {
		err = browse(ctx, os.Args[2])
	} else {
		err = run(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // what failed, failed because of Ctrl-C
	}
	stop()
	os.Exit(exit.Report(os.Stderr, err))
}

// The end user of the demo.
const (
	username = "alice"
	email    = "alice@example.com"
	group    = "platform-engineer"
	client   = "kubernetes"
)

// passwordFile and caFile tell the plugin's "browser", which is this program
// again, who logs in.
const (
	passwordFile = "TEGATA_DEMO_PASSWORD_FILE"
	caFile       = "TEGATA_DEMO_CA_FILE"
)

// demo is one run; everything it makes lies under dir.
type demo struct {
	dir, bin string
	scripted bool // log in by ourselves
	started  time.Time
	password secret.String
}

func run(ctx context.Context) (err error) {
	d := &demo{scripted: os.Getenv("BROWSER") == "none", started: time.Now(), password: newPassword()}
	if d.dir, err = os.MkdirTemp("", "tegata-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	d.bin = filepath.Join(d.dir, "bin")

	d.step("building tegata and kubectl-oidc_login")
	if err := d.build(ctx); err != nil {
		return err
	}
	d.step("building etcd, kube-apiserver and kubectl, or finding what was built before")
	binaries, err := kubetest.Build(ctx, indented{os.Stdout})
	if err != nil {
		return err
	}

	d.step("starting the provider")
	issuer, stopProvider, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProvider()) }()
	fmt.Println("      " + issuer)

	d.step("creating the user " + username + ", the group " + group + " and the client " + client)
	if err := d.populate(ctx); err != nil {
		return err
	}

	d.step("starting an API server that trusts the provider")
	plane, err := kubetest.Start(ctx, kubetest.Config{Binaries: binaries, Dir: d.dir, ServerFlags: []string{
		"--oidc-issuer-url=" + issuer,
		"--oidc-client-id=" + client,
		"--oidc-ca-file=" + d.ca(),
		"--oidc-username-claim=email",
		"--oidc-username-prefix=oidc:",
		"--oidc-groups-claim=groups",
		"--oidc-groups-prefix=oidc:",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	if err := plane.WaitIssuer(ctx, issuer); err != nil {
		return err
	}

	d.step("binding the group to cluster-admin, writing a kubeconfig whose user is the plugin")
	kubeconfig, err := d.configure(ctx, plane, issuer)
	if err != nil {
		return err
	}

	d.step("kubectl auth whoami")
	if err := d.whoami(ctx, plane, kubeconfig); err != nil {
		return err
	}
	d.goOn(ctx, plane, kubeconfig, issuer)
	return nil
}

func (d *demo) step(what string) {
	fmt.Printf("[%4.0fs] %s\n", time.Since(d.started).Seconds(), what)
}

func (d *demo) data() string         { return filepath.Join(d.dir, "data") }
func (d *demo) passwordFile() string { return filepath.Join(d.dir, "password") }
func (d *demo) ca() string           { return filepath.Join(d.data(), "ca.crt") }

func (d *demo) build(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", d.bin+string(filepath.Separator), "./cmd/tegata", "./cmd/kubectl-oidc_login")
	return output(build)
}

// serve starts "tegata serve --dev" and returns its issuer.
func (d *demo) serve(ctx context.Context) (issuer string, stop func() error, err error) {
	log, err := os.Create(filepath.Join(d.dir, "provider.log"))
	if err != nil {
		return "", nil, err
	}
	serve := exec.Command(filepath.Join(d.bin, "tegata"), "serve", "--dev", "--data-dir", d.data(), "--listen", "127.0.0.1:0")
	serve.Stderr = log
	reader, writer := io.Pipe()
	serve.Stdout = writer
	if err := serve.Start(); err != nil {
		return "", nil, errors.Join(err, log.Close())
	}
	ended := make(chan error, 1)
	go func() {
		err := serve.Wait()
		writer.Close()
		ended <- err
	}()
	stop = func() error {
		// Ctrl-C reached it too; then it has ended already.
		_ = serve.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			_ = serve.Process.Kill()
			<-ended
		}
		return log.Close()
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	issuer, ok := strings.CutPrefix(strings.TrimSpace(line), "issuer: ")
	if err != nil || !ok {
		text, _ := os.ReadFile(log.Name())
		return "", nil, errors.Join(fmt.Errorf("the provider did not start:\n%s", text), stop())
	}
	go io.Copy(io.Discard, reader) // what to type next; the demo types it
	return issuer, stop, ctx.Err()
}

// populate adds what the login needs, with the commands that a person types.
func (d *demo) populate(ctx context.Context) error {
	for _, c := range []struct {
		args  []string
		stdin string
	}{
		{args: []string{"group", "add", group}},
		{args: []string{"user", "add", username, "--email", email, "--group", group, "--password-stdin"}, stdin: d.password.Reveal()},
		{args: []string{"client", "add", client, "--public", "--redirect-uri", "http://localhost:8000"}},
	} {
		command := exec.CommandContext(ctx, filepath.Join(d.bin, "tegata"), append(c.args, "--data-dir", d.data())...)
		command.Stdin = strings.NewReader(c.stdin)
		if err := output(command); err != nil {
			return err
		}
	}
	return nil
}

// configure binds the group and writes the person's kubeconfig, with kubectl.
func (d *demo) configure(ctx context.Context, plane *kubetest.ControlPlane, issuer string) (string, error) {
	kubeconfig := filepath.Join(d.dir, "kubeconfig")
	credentials := []string{
		"--kubeconfig", kubeconfig, "config", "set-credentials", username,
		"--exec-api-version=client.authentication.k8s.io/v1",
		"--exec-interactive-mode=IfAvailable",
		"--exec-command=" + filepath.Join(d.bin, "kubectl-oidc_login"),
		"--exec-arg=get-token",
		"--exec-arg=--oidc-issuer-url=" + issuer,
		"--exec-arg=--oidc-client-id=" + client,
		"--exec-arg=--certificate-authority=" + d.ca(),
		"--exec-arg=--token-cache-dir=" + filepath.Join(d.dir, "cache"),
	}
	if d.scripted {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(d.passwordFile(), []byte(d.password.Reveal()), 0o600); err != nil {
			return "", err
		}
		credentials = append(credentials,
			"--exec-arg=--browser-command="+self+" browse %s",
			"--exec-env="+passwordFile+"="+d.passwordFile(),
			"--exec-env="+caFile+"="+d.ca())
	}
	for _, args := range [][]string{
		{"create", "clusterrolebinding", "cluster-admin-" + group, "--clusterrole=cluster-admin", "--group=oidc:" + group},
		{"--kubeconfig", kubeconfig, "config", "set-cluster", "demo", "--server=" + plane.URL(), "--certificate-authority=" + plane.CAFile(), "--embed-certs"},
		credentials,
		{"--kubeconfig", kubeconfig, "config", "set-context", "demo", "--cluster=demo", "--user=" + username},
		{"--kubeconfig", kubeconfig, "config", "use-context", "demo"},
	} {
		if err := output(plane.Kubectl(ctx, args...)); err != nil {
			return "", err
		}
	}
	return kubeconfig, nil
}

func (d *demo) whoami(ctx context.Context, plane *kubetest.ControlPlane, kubeconfig string) error {
	switch {
	case !d.scripted:
		fmt.Printf(`
  Your browser opens the login page. It does not know the certificate authority
  of the demo, so it warns; go on to localhost. Log in as

      user name  %s
      password   %s

`, username, d.password.Reveal())
	default:
		if _, ok := person.FindChromium(); ok {
			fmt.Println("      logging in by ourselves, in Chromium without a window")
		} else {
			fmt.Println("      logging in by ourselves, with a scripted HTTP client: there is no Chromium here")
		}
	}
	command := plane.Kubectl(ctx, "--kubeconfig", kubeconfig, "auth", "whoami")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := command.Run()
	if d.scripted {
		lock := flock.New(d.passwordFile())
		waiting, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		if _, lockErr := lock.TryLockContext(waiting, 50*time.Millisecond); lockErr != nil {
			return fmt.Errorf("waiting for the browser to end: %w", lockErr)
		}
		defer lock.Unlock()
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(d.dir, "provider.log"))
		return fmt.Errorf("kubectl auth whoami: %w\nthe provider's log:\n%s", err, log)
	}
	return nil
}

// goOn keeps everything up while a person types kubectl in another terminal.
func (d *demo) goOn(ctx context.Context, plane *kubetest.ControlPlane, kubeconfig, issuer string) {
	d.step("that was kubectl under a person's own name")
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return // nobody is there to go on
	}
	fmt.Printf(`
  Go on in another terminal:

      export KUBECONFIG=%s
      export PATH=%s:$PATH
      kubectl auth can-i --list
      kubectl create configmap hello --from-literal=from=%s
      tegata user disable %s --data-dir %s

  The portal, where %s sees devices, password and second factors:

      %s

  Ctrl-C takes everything down.
`, kubeconfig, filepath.Dir(plane.Binaries.Kubectl)+":"+d.bin, username, username, d.data(), username, issuer)
	<-ctx.Done()
	fmt.Println()
	d.step("taking everything down")
}

// browse is the browser of a demo that logs in by itself. The plugin does not
// wait for its browser, so the demo does: it takes the same lock at the end.
func browse(ctx context.Context, address string) error {
	lock := flock.New(os.Getenv(passwordFile))
	if err := lock.RLock(); err != nil {
		return err
	}
	defer lock.Unlock()
	password, err := os.ReadFile(os.Getenv(passwordFile))
	if err != nil {
		return err
	}
	who := person.Person{Login: email, Password: secret.New(string(password)), CAFile: os.Getenv(caFile)}
	if _, ok := person.FindChromium(); !ok {
		_, err := who.HTTP(ctx, address)
		return err
	}
	browser, err := who.Chromium(ctx)
	if err != nil {
		return err
	}
	_, err = browser.LogIn(address)
	return errors.Join(err, browser.Close())
}

// newPassword makes a password that a person can type.
func newPassword() secret.String {
	text := strings.ToLower(rand.Text())
	return secret.New(text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16])
}

// output runs a command and shows what it said only if it failed.
func output(command *exec.Cmd) error {
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(command.Path), err, said.String())
	}
	return nil
}

// indented writes lines below a step.
type indented struct{ w io.Writer }

func (i indented) Write(text []byte) (int, error) {
	_, err := fmt.Fprintf(i.w, "      %s", text)
	return len(text), err
}
