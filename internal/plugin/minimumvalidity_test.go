// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidctest"
)

// Tokens that are never valid for as long as is asked for: whoever waits for
// the one that renews takes its result, or each would renew in its turn.
func TestProcessesAtOnceShareATokenThatIsShort(t *testing.T) {
	d := newDesk(t)
	d.getToken()
	hold := make(chan struct{})
	asked := make(chan struct{}, 10)
	d.provider.Change(func(b *oidctest.Behaviour) {
		b.OnToken = func(url.Values) {
			asked <- struct{}{}
			<-hold
		}
	})
	start := func() (*exec.Cmd, *bytes.Buffer) {
		c, stderr := d.command("--minimum-validity=2h"), new(bytes.Buffer)
		c.Stderr = stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, stderr
	}
	first, told := start()
	<-asked
	for range 4 {
		next, stderr := start()
		eventually(t, "the next process waits for the first", func() bool { return pauses(next.Process.Pid) > 100 })
		defer func() {
			if err := next.Wait(); err != nil || stderr.Len() > 0 {
				t.Errorf("a process that waited: %v\n%s", err, stderr.String())
			}
			if got := d.provider.Refreshes(); got != 1 {
				t.Errorf("got %d refreshes, want 1", got)
			}
		}()
	}
	close(hold)
	if err := first.Wait(); err != nil || strings.Count(told.String(), "sooner than --minimum-validity=2h0m0s") != 1 {
		t.Errorf("the process that renewed: %v\n%s", err, told.String())
	}
}
