// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/tokencache"
)

// apiVersion is the protocol that new entries speak.
const apiVersion = "client.authentication.k8s.io/v1"

// userEntry is what a kubeconfig has to say of a user who logs in like this.
type userEntry struct {
	exec  kubeconfig.Exec
	notes []string
}

// entry makes the user's entry of the flags that were given, wherever.
func (f *setupFlags) entry(env Env, set *pflag.FlagSet, args []string) (userEntry, error) {
	var e userEntry
	e.exec = kubeconfig.Exec{APIVersion: apiVersion, InteractiveMode: "IfAvailable"}
	switch {
	case f.execCommand == "kubectl":
		e.exec.Command, e.exec.Args = "kubectl", []string{"oidc-login"}
	case f.execCommand != "":
		e.exec.Command = f.execCommand
	default:
		command, err := ownCommand(env)
		if err != nil {
			return e, fmt.Errorf("finding the program's own path: %w", err)
		}
		e.exec.Command = command
	}
	e.exec.Args = append(e.exec.Args, "get-token")

	// What the configuration file says, it says to kubectl too.
	typed := new(setupFlags).define()
	defineLog(typed)
	if err := typed.Parse(args); err != nil {
		return e, err // it was parsed before
	}
	inFile := func(flag *pflag.Flag) bool {
		return !typed.Lookup(flag.Name).Changed && env.Lookup(variable(flag.Name)) == ""
	}
	kept := new(getTokenFlags).define()
	var err error
	set.VisitAll(func(flag *pflag.Flag) {
		switch {
		case err != nil, !flag.Changed, kept.Lookup(flag.Name) == nil, inFile(flag):
		case flag.Name == "help", flag.Name == "force-refresh": // of this call alone
		case slices.Contains(secretFlags(), flag.Name):
			note, refusal := f.withoutSecret(flag.Name, typed.Lookup(flag.Name).Changed)
			e.notes, err = append(e.notes, note), refusal
		default:
			var words []string
			words, err = flagWords(flag, env)
			e.exec.Args = append(e.exec.Args, words...)
		}
	})
	return e, err
}

// withoutSecret says what to do for a secret that stays out of the entry.
func (f *setupFlags) withoutSecret(flag string, typed bool) (note string, err error) {
	const instead = "--oidc-client-secret-file=FILE or --oidc-client-secret-command=COMMAND"
	switch {
	case flag == "password":
		return "The password is left out: kubectl's user is asked for it.", nil
	case !typed:
		return "The client secret is left out: kubectl needs " + variable(flag) + " in its environment too.", nil
	case f.write:
		return "", exit.Misuse("use "+instead+", or the variable "+variable(flag), "a client secret is not written into a kubeconfig, which is shown and passed on")
	}
	return "The client secret is left out: a kubeconfig is shown and passed on. Add --exec-arg=--oidc-client-secret-file=FILE, with --oidc-client-secret-command=COMMAND as another way, or set " + variable(flag) + " where kubectl runs.", nil
}

// ownCommand is how kubectl starts this program: by its name if that finds it,
// else by its path.
func ownCommand(env Env) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	is, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	for _, name := range []string{filepath.Base(env.Args[0]), "kubectl-oidc_login"} {
		if found, err := exec.LookPath(name); err == nil && filepath.Base(name) == name {
			if other, err := os.Stat(found); err == nil && os.SameFile(is, other) {
				return strings.TrimSuffix(name, ".exe"), nil
			}
		}
	}
	return self, nil
}

// flagWords are the words that give a flag its value again, in another folder
// too.
func flagWords(flag *pflag.Flag, env Env) ([]string, error) {
	var values []string
	switch value := flag.Value.(type) {
	case *commaList:
		for _, one := range *value.values {
			values = append(values, csvLine(one))
		}
	case *pairMap:
		values = pairWords(*value.values)
	case pflag.SliceValue:
		values = value.GetSlice()
	default:
		if flag.NoOptDefVal != "" && value.String() == flag.NoOptDefVal {
			return []string{"--" + flag.Name}, nil
		}
		values = []string{value.String()}
	}
	what, _ := pflag.UnquoteUsage(flag)
	var words []string
	for _, value := range values {
		if (what == "file" || what == "folder") && value != "" {
			path, err := filepath.Abs(tokencache.ExpandHome(value, env.Lookup))
			if err != nil {
				return nil, err
			}
			value = path
		}
		words = append(words, "--"+flag.Name+"="+value)
	}
	return words, nil
}

// pairWords writes pairs as a pairMap reads them: one by one where that reads
// back, else in the form of CSV, which takes more than one equals sign.
func pairWords(pairs map[string]string) []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		pair := name + "=" + pairs[name]
		for _, word := range []string{pair, csvLine(pair), csvLine(pair, pair)} {
			var read map[string]string
			if err := (&pairMap{&read}).Set(word); err == nil && maps.Equal(read, map[string]string{name: pairs[name]}) {
				words = append(words, word)
				break
			}
		}
	}
	return words
}

// csvLine is a line of CSV without its end.
func csvLine(fields ...string) string {
	var line strings.Builder
	w := csv.NewWriter(&line)
	w.Write(fields) //nolint:errcheck // into memory
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

// kubectlSide is what kubectl must be told.
type kubectlSide struct {
	User           string          `json:"user"`
	Context        string          `json:"context,omitempty"` // that uses the user now
	Exec           kubeconfig.Exec `json:"exec"`
	SetCredentials string          `json:"set_credentials"`
	SetContext     string          `json:"set_context"`
}

// kubectl writes the entry as commands.
func (f *setupFlags) kubectl(e userEntry) kubectlSide {
	config := "kubectl config "
	if f.kubeconfig != "" {
		config += "--kubeconfig=" + exit.Quote(f.kubeconfig) + " "
	}
	words := []string{
		config + "set-credentials " + exit.Quote(f.user),
		"--exec-api-version=" + e.exec.APIVersion,
		"--exec-interactive-mode=" + e.exec.InteractiveMode,
		exit.Quote("--exec-command=" + e.exec.Command),
	}
	for _, arg := range e.exec.Args {
		words = append(words, exit.Quote("--exec-arg="+csvLine(arg))) // kubectl reads CSV
	}
	context := "--current"
	if f.context != "" {
		context = exit.Quote(f.context)
	}
	return kubectlSide{
		User: f.user, Exec: e.exec, SetCredentials: strings.Join(words, " \\\n  "),
		SetContext: config + "set-context " + context + " " + exit.Quote("--user="+f.user),
	}
}

// changes are those that --write makes, and the context that is changed. What
// another program put there is not replaced.
func (f *setupFlags) changes(paths []string, e userEntry) (changes []kubeconfig.Change, context string, err error) {
	config, err := kubeconfig.Load(paths)
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if user, ok := config.User(f.user); ok && !runsUs(user, e.exec.Command) {
		return nil, "", exit.Misuse("--user=NAME names another one, and kubectl config delete-user "+exit.Quote(f.user)+" removes this one",
			"the user %q in %s is somebody else: %s", f.user, user.Path, describeUser(user))
	}
	changes = []kubeconfig.Change{kubeconfig.SetExec(f.user, e.exec)}
	if context = f.context; context == "" && f.setContext {
		if context = config.CurrentContext(); context == "" {
			return nil, "", exit.Misuse("--context=NAME names one, and kubectl config get-contexts shows them", "--set-context: the kubeconfig has no current context")
		}
	}
	if context == "" {
		return changes, "", nil
	}
	if _, ok := config.Context(context); !ok {
		return nil, "", exit.Misuse(nearest(context, config.Contexts(), "", "kubectl config get-contexts shows them"), "there is no context %q in the kubeconfig", context)
	}
	return append(changes, kubeconfig.SetContextUser(context, f.user)), context, nil
}

// runsUs reports whether a user logs in by this program, or by kubelogin, and
// by nothing else.
func runsUs(user kubeconfig.User, command string) bool {
	if user.AuthProvider != nil || len(user.Others) > 0 {
		return false
	}
	if user.Exec == nil || user.Exec.Command == command && command != "kubectl" {
		return true
	}
	switch name := strings.TrimSuffix(filepath.Base(user.Exec.Command), ".exe"); name {
	case "kubectl-oidc_login", "kubelogin":
		return true
	case "kubectl":
		return slices.Contains(user.Exec.Args, "oidc-login")
	}
	return false
}

// describeUser says how a user shows the API server who they are.
func describeUser(user kubeconfig.User) string {
	switch {
	case user.Exec != nil && user.Exec.Command == "kubectl" && len(user.Exec.Args) > 0:
		return "kubectl runs kubectl " + printable(user.Exec.Args[0]) + " for it"
	case user.Exec != nil:
		return "kubectl runs " + printable(user.Exec.Command) + " for it"
	case user.AuthProvider != nil:
		return "it has the auth-provider " + printable(user.AuthProvider.Name)
	case len(user.Others) > 0:
		return "it has " + printable(strings.Join(user.Others, ", "))
	}
	return "it has nothing to show"
}

// tell says what became of a file.
func (w writtenFile) tell() string {
	text := "Wrote " + w.File
	if w.Created {
		text = "Created " + w.File
	}
	if w.Mode != "" {
		text += " (its mode was " + w.Mode + ", and is 0600 now: there are credentials in it)"
	}
	return text + "\n"
}
