// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package plugin is the command kubectl-oidc_login: flags and the exec
// credential protocol in, a credential and an exit code out.
//
//	get-token   gettoken.go   the warm path: read the cache, print
//	            renew.go      everything else: lock, refresh, login
//	            grants.go     which grant fits the place, and how it is asked for
//	            person.go     what the person who waits gets to see
//	            questions.go  what they are asked, and where
//	            qr.go         a device code as a picture
//	            cooldown.go   nobody is asked twice in vain
//	            storage.go    where tokens are kept, and the system's keyring
//	            clientauth.go how a confidential client shows who it is
//	            hint.go       what to try after a failure
//	setup       setup.go      a login, and what to do with it
//	            setupentry.go   the user in the kubeconfig
//	            setupserver.go  what the API server must be told
//	            seentoken.go    what a token says
//	login       login.go      the same, ahead of time
//	status      status.go     who is logged in
//	logout      logout.go     the end of it, at the provider too
//	clean       clean.go      nothing is left on this machine
//	standalone  standalone.go the auth-provider section of a kubeconfig
//	completion  completion.go what a shell offers on the tab key
//	version     version.go
//	help        help.go
//
//	environment.go            flags from variables and from a file
//	klog.go                   the peer's log flags, and -v
//
// The flags are those of kubelogin, by name, default and syntax, so that a
// kubeconfig that exists today keeps its meaning: flags.go.
//
// kubectl starts the plugin for every command that a person types. A token
// that is still valid is therefore printed without a connection, a lock, a
// goroutine or a type of the network packages, and commands are dispatched by
// the few lines below rather than by a framework, whose start alone would
// cost a tenth of the budget.
package plugin

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tegata/tegata/internal/exit"
)

// Env is what the operating system gives to a command.
type Env struct {
	Args    []string            // as in os.Args
	Lookup  func(string) string // as os.Getenv
	Environ func() []string     // as os.Environ; nil means that no flag comes from there
	Stdout  io.Writer           // for the result alone
	Stderr  io.Writer           // for people
	Now     func() time.Time    // defaults to time.Now

	// Stdin is read for answers, where it is a person's; it may be nil.
	Stdin *os.File

	// Terminal opens the terminal of the person; nil means /dev/tty.
	Terminal func() (*os.File, error)

	// Version is the release; empty for a build from source.
	Version string

	trace *trace // nil unless -v asks for it
}

// Main runs the command and returns its exit code.
func Main(ctx context.Context, env Env) int {
	if env.Now == nil {
		env.Now = time.Now
	}
	return exit.Report(env.Stderr, dispatch(ctx, env))
}

// A command is one word after the program's name.
type command struct {
	name    string
	summary string // for the list of all
	about   string // what its help says before the flags
	flags   func() *pflag.FlagSet
	run     func(ctx context.Context, env Env, args []string) error
}

// commands are all of them, in the order in which help shows them.
func commands() []command {
	return []command{
		{"get-token", "print a credential for kubectl; log in if need be", getTokenAbout, func() *pflag.FlagSet { return new(getTokenFlags).define() }, getToken},
		{"setup", "set up kubectl and the API server for a provider", setupAbout, func() *pflag.FlagSet { return new(setupFlags).define() }, setup},
		{"login", "log in ahead of time", loginAbout, func() *pflag.FlagSet { return new(loginFlags).define() }, logIn},
		{"status", "show who is logged in", statusAbout, func() *pflag.FlagSet { return new(statusFlags).define() }, status},
		{"logout", "log out, here and at the provider", logoutAbout, func() *pflag.FlagSet { return new(logoutFlags).define() }, logOut},
		{"clean", "remove what is kept on this machine", cleanAbout, func() *pflag.FlagSet { return new(cleanFlags).define() }, clean},
		{"standalone", "log in a kubeconfig's user of the older form (auth-provider); also without a command", standaloneAbout, func() *pflag.FlagSet { return new(standaloneFlags).define() }, standalone},
		{"completion", "print what a shell needs to complete commands", completionAbout, func() *pflag.FlagSet { return new(completionFlags).define() }, completion},
		{"version", "print the version", versionAbout, func() *pflag.FlagSet { return new(versionFlags).define() }, version},
	}
}

// commandNames are those that help can explain.
func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// newFlagSet is an empty set whose mistakes are ours to tell.
func newFlagSet(name string) *pflag.FlagSet {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	return set
}

// dispatch finds the command. Each of them reads its own flags.
func dispatch(ctx context.Context, env Env) error {
	if len(env.Args) < 2 {
		return standalone(ctx, env, nil)
	}
	name, args := env.Args[1], env.Args[2:]
	switch name {
	case "get-token": // the warm path goes no further
		return getToken(ctx, env, args)
	case "--version":
		return version(ctx, env, args)
	case "help", "--help", "-h":
		return help(env, args)
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, env, args)
		}
	}
	if strings.HasPrefix(name, "-") {
		return standalone(ctx, env, env.Args[1:])
	}
	return exit.Misuse(nearest(name, append(commandNames(), "help"), "the command ", "kubectl-oidc_login help shows the commands"), "there is no command %q", name)
}

// watched reports whether a person sees standard error.
func (e Env) watched() bool {
	file, ok := e.Stderr.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
