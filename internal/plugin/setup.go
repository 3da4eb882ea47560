// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/tokencache"
)

// setupFlags are the flags of setup: those of get-token, which become the
// user's entry, and its own.
type setupFlags struct {
	getTokenFlags
	write       bool
	kubeconfig  string
	user        string
	context     string
	setContext  bool
	execCommand string
	output      string
}

func (f *setupFlags) define() *pflag.FlagSet {
	set := newFlagSet("setup")
	set.BoolVar(&f.write, "write", false, "write the user into the kubeconfig")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "the `file` to write to (default $KUBECONFIG or ~/.kube/config)")
	set.StringVar(&f.user, "user", "oidc", "`name` of the user in the kubeconfig")
	set.BoolVar(&f.setContext, "set-context", false, "make the current context use this user")
	set.StringVar(&f.context, "context", "", "`name` of a context to make use this user, instead of the current one")
	set.StringVar(&f.execCommand, "exec-command", "", "`command` that kubectl shall run (default this program); kubectl makes it kubectl oidc-login, which starts two programs")
	set.StringVarP(&f.output, "output", "o", "text", "`form` of the result: text, json")
	set.AddFlagSet(f.getTokenFlags.define())
	return set
}

// setup is the command setup: a login to see what comes of it, and all that
// kubectl and the API server must be told.
func setup(ctx context.Context, env Env, args []string) error {
	// 1. What is asked.
	var flags setupFlags
	set := flags.define()
	if err := parse(&env, set, args); err != nil {
		return err
	}
	switch {
	case flags.help, flags.issuer == "" && flags.clientID == "":
		return commandHelp(env, "setup")
	case flags.output != "text" && flags.output != "json":
		return exit.Misuse("it is one of text, json", "there is no --output=%s", flags.output)
	case flags.user == "" || strings.HasPrefix(flags.user, "-"):
		return exit.Misuse("", "--user=%s is no name", flags.user)
	}
	if err := flags.check(); err != nil {
		return err
	}
	r, err := flags.request(env.Lookup)
	if err != nil {
		return err
	}
	entry, err := flags.entry(env, set, args)
	if err != nil {
		return err
	}

	// 2. Whether it can be written, before anybody is asked.
	ctx, stop := exit.OnSignal(ctx)
	defer stop()
	paths := kubeconfigPaths(flags.kubeconfig, env.Lookup)
	var changes []kubeconfig.Change
	var contextName string
	if flags.write {
		if changes, contextName, err = flags.changes(paths, entry); err != nil {
			return err
		}
		if err := kubeconfig.Check(ctx, paths, changes...); err != nil {
			return adviseKubeconfig(fmt.Errorf("the kubeconfig cannot be written: %w", err))
		}
	}

	// 3. The login.
	tokens, err := logInAnew(ctx, env, r)
	if err != nil {
		return err
	}
	seen, opaque := readToken(tokens.Bearer())
	if opaque {
		entry.notes = append(entry.notes, "The access token is opaque: an API server cannot verify it by itself.")
		seen, opaque = readToken(tokens.IDToken)
	}

	// 4. What to do with it.
	result := setupResult{
		Issuer: r.identity.Issuer, ClientID: r.identity.ClientID, Claims: seen.payload,
		Kubectl: flags.kubectl(entry), Notes: entry.notes,
	}
	if !opaque {
		side := apiServerFor(r, seen)
		result.APIServer, result.RoleBinding = &side, side.binding()
		result.Notes = append(result.Notes, side.notes...)
	}
	if flags.write {
		written, err := kubeconfig.Update(ctx, paths, changes...)
		if err != nil {
			return adviseKubeconfig(fmt.Errorf("the login succeeded, but the kubeconfig is not written: %w", err))
		}
		result.Written, result.Kubectl.Context = tellWritten(written), contextName
	}
	if flags.output == "json" {
		encoder := json.NewEncoder(env.Stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(result)
	}
	_, err = io.WriteString(env.Stdout, result.text(flags.write, tokens, env))
	return err
}

// logInAnew logs in whatever is kept, and keeps what comes: whoever uses
// kubectl next need not log in again.
func logInAnew(ctx context.Context, env Env, r request) (tokencache.Tokens, error) {
	client, err := r.client(env)
	if err != nil {
		return tokencache.Tokens{}, err
	}
	defer client.Close()
	n := renewal{request: r, env: env, client: client, person: newPerson(env, r)}
	unlock, err := n.cache.Lock(ctx, n.key, n.person.waiting)
	switch {
	case ctx.Err() != nil:
		return tokencache.Tokens{}, context.Canceled
	case err == nil:
		defer unlock()
		if n.keyring != nil {
			n.keyring.mayAsk(env)
		}
	case n.noCache == nil:
		n.noCache = err
	}
	tokens, err := n.login(ctx)
	env.trace.step("login: %s", ended(err, ""))
	if err != nil {
		return tokencache.Tokens{}, advise(err, r)
	}
	return tokens, nil
}

// setupResult is all that setup found out.
type setupResult struct {
	Issuer      oidc.Issuer     `json:"issuer"`
	ClientID    oidc.ClientID   `json:"client_id"`
	Claims      json.RawMessage `json:"claims"` // null if no token can be read
	Kubectl     kubectlSide     `json:"kubectl"`
	Written     []writtenFile   `json:"written,omitempty"`
	APIServer   *apiServerSide  `json:"api_server,omitempty"` // as Claims
	RoleBinding string          `json:"role_binding,omitempty"`
	Notes       []string        `json:"notes,omitempty"`
}

// text is the result for a person. What is to be pasted stands in blocks of
// its own, under headings that a shell and a YAML file take for comments.
func (r setupResult) text(written bool, tokens tokencache.Tokens, env Env) string {
	var out strings.Builder
	l := describe(tokens, "", env.Now())
	fmt.Fprintf(&out, "%s is logged in at %s with the client %s.\n", l.person(), r.Issuer, r.ClientID)
	if r.Claims != nil {
		var pretty bytes.Buffer
		json.Indent(&pretty, r.Claims, "", "  ") //nolint:errcheck // it was read as JSON
		fmt.Fprintf(&out, "\n# The token says\n\n%s\n", pretty.String())
	}
	if written {
		out.WriteString("\n# kubectl\n\n")
		for _, file := range r.Written {
			out.WriteString(file.tell())
		}
		if len(r.Written) == 0 {
			out.WriteString("The kubeconfig is as it should be already.\n")
		}
		if r.Kubectl.Context != "" {
			fmt.Fprintf(&out, "The context %s uses the user %s.\n", printable(r.Kubectl.Context), r.Kubectl.User)
		} else {
			fmt.Fprintf(&out, "To use the user %s in the current context:\n\n%s\n", r.Kubectl.User, r.Kubectl.SetContext)
		}
	} else {
		fmt.Fprintf(&out, "\n# kubectl: a user who logs in like this (--write does it)\n\n%s\n%s\n", r.Kubectl.SetCredentials, r.Kubectl.SetContext)
	}
	if r.APIServer != nil {
		fmt.Fprintf(&out, "\n# The API server: flags\n\n%s\n", strings.Join(r.APIServer.Flags, "\n"))
		fmt.Fprintf(&out, "\n# The API server: or, from Kubernetes 1.30 on, a file for --authentication-config\n\n%s", r.APIServer.yaml())
		fmt.Fprintf(&out, "\n# A role: view reads; edit, admin and cluster-admin do more\n\n%s\n", r.RoleBinding)
	}
	if len(r.Notes) > 0 {
		out.WriteString("\n# Notes\n\n")
		for _, note := range r.Notes {
			out.WriteString("- " + note + "\n")
		}
	}
	return printableLines(out.String())
}

// printableLines makes a text of somebody else's safe for a terminal, line by line.
func printableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
}

// kubeconfigPaths are the files that kubectl would use.
func kubeconfigPaths(flag string, lookup func(string) string) []string {
	return kubeconfig.Paths(tokencache.ExpandHome(flag, lookup), lookup("KUBECONFIG"), tokencache.Home(lookup))
}

// adviseKubeconfig adds what to try after a kubeconfig could not be changed.
func adviseKubeconfig(err error) error {
	if locked, ok := errors.AsType[*kubeconfig.LockedError](err); ok {
		return exit.WithHint(err, "if no other program is at work, remove it:\nrm "+exit.Quote(locked.Path))
	}
	return err
}

// writtenFile is a kubeconfig that was changed.
type writtenFile struct {
	File    string `json:"file"`
	Created bool   `json:"created"`
	Mode    string `json:"mode_before,omitempty"` // if it was too wide for what the file holds
}

func tellWritten(written []kubeconfig.Written) []writtenFile {
	var files []writtenFile
	for _, w := range written {
		file := writtenFile{File: w.Path, Created: w.Created}
		if w.Narrowed != 0 {
			file.Mode = fmt.Sprintf("%04o", w.Narrowed)
		}
		files = append(files, file)
	}
	return files
}
