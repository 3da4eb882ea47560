// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl is the kubectl of the tests: the real one, built from its
// module.
package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the exec and oidc credential plugins
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
