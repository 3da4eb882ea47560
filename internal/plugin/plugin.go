// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package plugin is the command kubectl-oidc_login: flags and the exec
// credential protocol in, a credential and an exit code out.
//
//	get-token   gettoken.go   the warm path: read the cache, print
//	            renew.go      everything else: lock, refresh, login
//	            person.go     what the person who waits gets to see
//	            hint.go       what to try after a failure
//	version     version.go
//	help        help.go
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

	"golang.org/x/term"

	"github.com/tegata/tegata/internal/exit"
)

// Env is what the operating system gives to a command.
type Env struct {
	Args   []string            // as in os.Args
	Lookup func(string) string // as os.Getenv
	Stdout io.Writer           // for the result alone
	Stderr io.Writer           // for people
	Now    func() time.Time    // defaults to time.Now

	// Version is the release; empty for a build from source.
	Version string
}

// Main runs the command and returns its exit code.
func Main(ctx context.Context, env Env) int {
	if env.Now == nil {
		env.Now = time.Now
	}
	return exit.Report(env.Stderr, dispatch(ctx, env))
}

// dispatch finds the command. Each of them reads its own flags.
func dispatch(ctx context.Context, env Env) error {
	if len(env.Args) < 2 {
		return exit.Misuse("kubectl-oidc_login help shows the commands", "no command is given; using it without one, on the kubeconfig, is not built yet in this version")
	}
	name, args := env.Args[1], env.Args[2:]
	switch name {
	case "get-token":
		return getToken(ctx, env, args)
	case "version", "--version":
		return version(env, args)
	case "help", "--help", "-h":
		return help(env, args)
	case "login", "logout", "status", "setup", "clean", "completion":
		return exit.Misuse("kubectl-oidc_login help shows the commands", "the command %s is not built yet in this version", name)
	}
	if strings.HasPrefix(name, "-") {
		return exit.Misuse("kubectl-oidc_login get-token --help shows its flags", "the flag %s stands before a command", name)
	}
	return exit.Misuse(nearest(name, []string{"get-token", "version", "help"}, "the command ", "kubectl-oidc_login help shows the commands"), "there is no command %q", name)
}

// watched reports whether a person sees standard error.
func (e Env) watched() bool {
	file, ok := e.Stderr.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
