// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command kube-apiserver is the API server of the tests: the real one, built
// from the Kubernetes module.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/version" // kubernetes_build_info
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
