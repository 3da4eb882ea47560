// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"io"
)

// BuildFrom is Build with a source and a cache of the test's choice.
func BuildFrom(ctx context.Context, w io.Writer, source, cache string) (Binaries, error) {
	return build(ctx, w, source, cache)
}

// WithPorts makes the API server try these ports.
func (c Config) WithPorts(next func() (int, error)) Config {
	c.freePort = next
	return c
}

// Directory is where everything of the control plane lies.
func (p *ControlPlane) Directory() string { return p.directory.path }

// ProcessIDs are those of etcd and the API server.
func (p *ControlPlane) ProcessIDs() []int {
	return []int{p.etcd.cmd.Process.Pid, p.apiServer.cmd.Process.Pid}
}

// RefusalReason is the parser of the API server's log.
func RefusalReason(log []byte) (string, bool) { return refusalReason(log) }

// APIServerGone ends with the API server.
func (p *ControlPlane) APIServerGone() context.Context { return p.apiServer.gone }
