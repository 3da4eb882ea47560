// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tegata/tegata/internal/keyring"
)

// What real keyrings do is in test/keyring.

// act is a call that takes a while, or until the test is over.
func act(takes time.Duration, over <-chan struct{}, err error) func() error {
	return func() error {
		select {
		case <-time.After(takes):
		case <-over:
		}
		return err
	}
}

func TestWithin(t *testing.T) {
	for _, test := range []struct {
		name  string
		takes time.Duration
		err   error
		want  string // the error; empty for none
		took  time.Duration
	}{
		{"done", 0, nil, "", 0},
		{"refused", 0, errors.New("refused"), "refused", 0},
		{"slow", 2 * time.Second, nil, "", 2 * time.Second},
		{"hung", time.Hour, nil, "it did not answer within 5s", 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				defer close(over)
				began := time.Now()
				err := keyring.Within(t.Context(), 5*time.Second, act(test.takes, over, test.err))
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestWithinEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := keyring.Within(ctx, time.Minute, act(time.Hour, over, nil))
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took != time.Second {
			t.Errorf("got %v after %s", err, took)
		}
	})
}

// The library follows a nil pointer when the bus goes away at the wrong moment.
func TestWithinSurvivesTheLibrary(t *testing.T) {
	var signal *struct{ name string }
	err := keyring.Within(t.Context(), time.Minute, func() error { return errors.New(signal.name) })
	if err == nil || !strings.HasPrefix(err.Error(), "its answer makes no sense: ") {
		t.Errorf("got %v", err)
	}
}
