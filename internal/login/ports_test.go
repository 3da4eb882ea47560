// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidctest"
)

// kubelogin's third login at once has no port, and fails. Ours waits for the
// first to end.
func TestLoginWaitsForThePortOfAnother(t *testing.T) {
	noLeaks(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	p := oidctest.New(t)
	asked, waiting := make(chan string, 1), make(chan struct{})
	first := authorization(t, p)
	first.ListenAddresses = []string{address}
	logIn := first.Visit
	first.Visit = func(_ context.Context, address string) error { asked <- address; return nil }
	second := first
	second.Visit = logIn
	second.Waiting = func() { close(waiting) }

	ended := make(chan error, 2)
	go func() { _, err := newClient(t, p).Login(t.Context(), first); ended <- err }()
	ask := <-asked
	go func() { _, err := newClient(t, p).Login(t.Context(), second); ended <- err }()
	<-waiting
	if err := logIn(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A login that waits for a port can be given up, and does not wait for ever.
func TestLoginStopsWaitingForAPort(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	asked := make(chan struct{})
	first := authorization(t, p)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first.ListenAddresses = []string{free.Addr().String()}
	free.Close()
	first.Visit = func(context.Context, string) error { close(asked); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, err := newClient(t, p).Login(ctx, first); ended <- err }()
	<-asked

	second := first
	second.Timeout = 50 * time.Millisecond
	if _, err := newClient(t, p).Login(t.Context(), second); !login.IsKind(err, login.PortsBusy) {
		t.Errorf("after its time: %v, want that the port is busy", err)
	}
	second.Timeout = time.Minute
	impatient, giveUp := context.WithCancel(t.Context())
	second.Waiting = giveUp
	if _, err := newClient(t, p).Login(impatient, second); err != context.Canceled { //nolint:errorlint // it is never wrapped
		t.Errorf("given up: %v", err)
	}
	cancel()
	<-ended
}

// Another program's port is not waited for, whatever that program speaks.
func TestLoginDoesNotWaitForAStranger(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	a := authorization(t, p)
	a.ListenAddresses = []string{web.Listener.Addr().String(), mute.Addr().String()}
	a.Waiting = func() { t.Error("it waits for a stranger") }
	if _, err := newClient(t, p).Login(t.Context(), a); !login.IsKind(err, login.PortsBusy) {
		t.Errorf("got %v, want that the ports are busy", err)
	}
}
