// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"strings"

	"github.com/tegata/tegata/internal/exit"
)

// help is the command help.
func help(env Env, args []string) error {
	if len(args) > 1 {
		return exit.Misuse("kubectl-oidc_login help shows the commands", "help takes one command")
	}
	if len(args) == 1 {
		return commandHelp(env, args[0])
	}
	var list strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&list, "  %-11s %s\n", c.name, c.summary)
	}
	_, err := fmt.Fprint(env.Stdout, `kubectl-oidc_login obtains an ID token from an OpenID Provider for kubectl, and keeps it.

Commands:
`+list.String()+`  help        explain a command: kubectl-oidc_login help get-token

Without a command it is standalone.

Example, in a kubeconfig, as setup --write puts it there:
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

Each flag is also an environment variable: --oidc-issuer-url is OIDC_LOGIN_OIDC_ISSUER_URL.
-v=1 tells what is done.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`)
	return err
}

// commandHelp explains one command.
func commandHelp(env Env, name string) error {
	for _, c := range commands() {
		if c.name == name {
			_, err := fmt.Fprint(env.Stdout, c.about+"\nFlags:\n"+c.flags().FlagUsagesWrapped(100))
			return err
		}
	}
	return exit.Misuse(nearest(name, commandNames(), "the command ", "kubectl-oidc_login help shows the commands"), "there is no command %q", name)
}

const getTokenAbout = `Print a credential for kubectl: from the cache while it is valid, else by
refreshing it, else by asking a person to log in: with a browser, or in
whichever way fits the place.

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

  # A code to enter on another device.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --grant-type=device-code

  # Tokens that nobody can read in a backup.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --token-cache-storage=keyring

  # A machine without a person, whose API server takes access tokens.
  kubectl-oidc_login get-token --oidc-issuer-url=https://id.example.com --oidc-client-id=robot \
    --grant-type=client-credentials --oidc-client-secret-file=/etc/robot/secret --oidc-use-access-token
`

const setupAbout = `Set up kubectl and the API server for a provider: log in once, show what the
token says, and print the user for the kubeconfig, the API server's side (as
flags and as a file), and a command that gives a first role. The flags are those
of get-token; those that are given become the user's. With --write the user is
written into the kubeconfig, and nothing else in there changes.

Secrets are neither printed nor written. The login is kept, so the next call of
kubectl need not ask again.

Usage:
  kubectl-oidc_login setup --oidc-issuer-url=URL --oidc-client-id=ID [flags]

Examples:
  # What has to be done.
  kubectl-oidc_login setup --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes

  # Do kubectl's part, and use it in the current context.
  kubectl-oidc_login setup --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --write --set-context

  # Another name, for one of many clusters.
  kubectl-oidc_login setup --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --write --user=alice --context=production

  # The file for the API server.
  kubectl-oidc_login setup --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes \
    --output=json | jq .api_server.authentication_configuration > authentication.json
`

const standaloneAbout = `Log in a user of a kubeconfig who has the section auth-provider, as kubectl had
it before there were credential plugins. The ID token stays as long as it is
valid; then it is refreshed, or a person is asked. The tokens are written back
to the file that holds the user, which is then its owner's alone; nothing else in
it changes. kubectl reads them from there.

The issuer, the client and its scopes come from the kubeconfig. This is also what
happens without any command.

Usage:
  kubectl-oidc_login [standalone] [flags]

Examples:
  kubectl oidc-login
  kubectl oidc-login --context=production
  kubectl oidc-login standalone --kubeconfig=~/lab.yaml --user=alice --grant-type=device-code
`

const loginAbout = `Log in ahead of time: what get-token would do when kubectl asks, with the same
flags. Tokens that are good for five minutes more are left as they are. It
prints who is logged in until when, and no credential.

Usage:
  kubectl-oidc_login login --oidc-issuer-url=URL --oidc-client-id=ID [flags]

Examples:
  kubectl-oidc_login login --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes

  # In the morning: a new token whatever the old one is worth.
  kubectl-oidc_login login --oidc-issuer-url=https://id.example.com --oidc-client-id=kubernetes --force-refresh
`

const statusAbout = `Show who is logged in: the person, the issuer and client, the groups in the ID
token, until when it is valid, whether it can be refreshed without a person,
and where it is kept: the storage (disk, or keyring if it is sealed with a key
in there) and the file. No token is shown, and nobody is asked, not even to
unlock a keyring.

Usage:
  kubectl-oidc_login status [flags]

Examples:
  kubectl-oidc_login status
  kubectl-oidc_login status --oidc-issuer-url=https://id.example.com --output=json
`

const logoutAbout = `Log out: revoke the refresh token at the provider, open the page that ends the
session there, and remove the tokens from this machine. The flags that reach
the provider are those of get-token; the others are accepted, and mean nothing
here.

The tokens are removed even if the provider cannot be reached; a warning and
exit code 1 then say that the refresh token was not revoked.

Usage:
  kubectl-oidc_login logout --oidc-issuer-url=URL [--oidc-client-id=ID] [flags]
  kubectl-oidc_login logout --all [flags]

Examples:
  kubectl-oidc_login logout --oidc-issuer-url=https://id.example.com
  kubectl-oidc_login logout --all --skip-open-browser
`

const cleanAbout = `Remove what is kept on this machine: tokens, locks, notes about providers, and
the key in the keyring that tokens were sealed with. What is not ours stays, and
so does a login that is under way. Nothing is revoked: logout does that.

Usage:
  kubectl-oidc_login clean [flags]

Examples:
  kubectl-oidc_login clean --dry-run
  kubectl-oidc_login clean
`

const completionAbout = `Print what a shell needs to complete commands and flags.

Usage:
  kubectl-oidc_login completion bash|zsh|fish|powershell

Examples:
  # bash, in ~/.bashrc
  source <(kubectl-oidc_login completion bash)

  # zsh, in ~/.zshrc, after compinit
  source <(kubectl-oidc_login completion zsh)

  # fish
  kubectl-oidc_login completion fish > ~/.config/fish/completions/kubectl-oidc_login.fish

  # PowerShell, in the profile
  kubectl-oidc_login completion powershell | Out-String | Invoke-Expression
`

const versionAbout = `Print the version, the version of Go and the system it was built for.

Usage:
  kubectl-oidc_login version [flags]

Examples:
  kubectl-oidc_login version
  kubectl-oidc_login version --output=json
`
