// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
)

// help is the command help.
func help(env Env, args []string) error {
	if len(args) > 1 {
		return exit.Misuse("kubectl-oidc_login help shows the commands", "help takes one command")
	}
	if len(args) == 1 {
		switch args[0] {
		case "get-token":
			return getTokenHelp(env)
		case "version":
			return version(env, []string{"--help"})
		}
		return exit.Misuse(nearest(args[0], []string{"get-token", "version"}, "the command ", "kubectl-oidc_login help shows the commands"), "there is no command %q", args[0])
	}
	_, err := fmt.Fprint(env.Stdout, `kubectl-oidc_login obtains an ID token from an OpenID Provider for kubectl, and keeps it.

Commands:
  get-token   print a credential for kubectl; log in if need be
  version     print the version
  help        explain a command: kubectl-oidc_login help get-token

Example, in a kubeconfig:
  users:
  - name: oidc
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: kubectl-oidc_login
        args:
        - get-token
        - --oidc-issuer-url=https://id.example.com
        - --oidc-client-id=kubernetes
        interactiveMode: IfAvailable

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`)
	return err
}

func getTokenHelp(env Env) error {
	var flags getTokenFlags
	_, err := fmt.Fprint(env.Stdout, `Print a credential for kubectl: from the cache while it is valid, else by
refreshing it, else by asking a person to log in with a browser.

Usage:
  kubectl-oidc_login get-token --oidc-issuer-url=URL --oidc-client-id=ID [flags]

Examples:
  # A public client.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes

  # A provider whose certificate a company's own authority signed.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --certificate-authority=~/company-ca.crt

  # A certain browser and profile.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --browser-command='firefox -P work %s'

Flags:
`+flags.define().FlagUsagesWrapped(100))
	return err
}

func versionHelp(env Env, set *pflag.FlagSet) error {
	_, err := fmt.Fprint(env.Stdout, `Print the version, the version of Go and the system it was built for.

Usage:
  kubectl-oidc_login version [flags]

Examples:
  kubectl-oidc_login version
  kubectl-oidc_login version --output=json

Flags:
`+set.FlagUsagesWrapped(100))
	return err
}
