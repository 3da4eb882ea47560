// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// manifestName is the file's name in an index of Krew: that of the plugin.
const manifestName = "oidc-login.yaml"

// manifest is what Krew reads to install the plugin, for the platforms for
// which it was packed. Nothing in it needs quotes.
func (r release) manifest(archives []archive) string {
	var text strings.Builder
	fmt.Fprintf(&text, `apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: oidc-login
spec:
  version: %s
  homepage: %s
  shortDescription: Log in to the Kubernetes API with OpenID Connect
  description: |
    This is a credential plugin of kubectl. It obtains an ID token from an
    OpenID Provider, with a browser, a device code or in another way that fits
    the place, keeps it, and renews it.

    Its flags and kubeconfigs are those of kubelogin.
  caveats: |
    Make a user of the kubeconfig log in with it:

      $ kubectl oidc-login setup --oidc-issuer-url=URL --oidc-client-id=ID --write

    The first command of kubectl then opens a browser.
  platforms:
`, r.version, repository)
	for _, a := range archives {
		if a.command != "kubectl-oidc_login" {
			continue
		}
		fmt.Fprintf(&text, `    - selector:
        matchLabels:
          os: %s
          arch: %s
      uri: %s/releases/download/%s/%s
      sha256: %s
      bin: %s
      files:
        - from: %[7]s
          to: .
        - from: LICENSE
          to: .
        - from: THIRD-PARTY-LICENSES
          to: .
`, a.system, a.machine, repository, r.version, a.name, a.sum, a.program())
	}
	return text.String()
}
