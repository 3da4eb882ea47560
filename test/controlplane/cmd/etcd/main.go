// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command etcd is the store behind the API server of the tests: etcd itself,
// built from its module.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
