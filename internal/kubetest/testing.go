// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// New starts a control plane for a test and stops it when the test ends, also
// when the test panics. When the test process gets SIGINT, SIGTERM or SIGHUP, it
// stops the control plane before it dies of the signal. If the test has failed,
// the end of the API server's log is shown.
//
// Whatever the control plane needs and cannot have fails the test. Progress goes
// to the test's output if c.Log is nil.
func New(t testing.TB, c Config) *ControlPlane {
	t.Helper()
	if c.Log == nil {
		c.Log = t.Output()
	}
	// Not the context of the test, which ends before the cleanups of the test,
	// and they may want to talk to the API server.
	ctx, cancel := context.WithCancel(context.Background())
	plane := make(chan *ControlPlane, 1) // nil if it did not start
	unwatch := watchSignals(cancel, plane)

	p, err := Start(ctx, c)
	plane <- p
	if err != nil {
		unwatch()
		cancel()
		t.Fatalf("starting a control plane: %v", err)
	}
	t.Cleanup(func() {
		defer cancel()
		if err := p.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
		unwatch()
		if t.Failed() {
			t.Logf("the end of the API server's log:\n%s", tail([]byte(p.ServerLog()), 2*tailLines))
		}
	})
	return p
}

// watchSignals lets a signal that ends the process first stop the control plane
// that is started or will be, and then take its effect. The function that it
// returns ends the watch.
func watchSignals(cancel context.CancelFunc, plane <-chan *ControlPlane) (unwatch func()) {
	signals := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-quit:
			signal.Stop(signals)
			select {
			case sig := <-signals: // it came at the last moment
				raise(sig)
			default:
			}
		case sig := <-signals:
			cancel()
			if p := <-plane; p != nil {
				_ = p.Stop() // the process is about to end
			}
			// With several control planes the signal passes from one watch to the
			// next, and the last one to stop watching lets it through.
			signal.Stop(signals)
			raise(sig)
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// raise sends this process a signal, or ends it where that is not possible.
func raise(sig os.Signal) {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(sig)
	}
	if err != nil {
		os.Exit(1)
	}
}
