// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
)

func at() time.Time { return time.Date(2026, 11, 22, 13, 14, 15, 0, time.FixedZone("JST", 9*3600)) }

func TestAnEventIsOneLine(t *testing.T) {
	var out bytes.Buffer
	lines := audit.NewLines(&out, func(err error) { t.Error(err) })
	trail := &audit.Trail{Issuer: "https://id.example.com", Now: at, Sinks: []func(audit.Event){lines.Write}}
	trail.Record(audit.Event{Act: audit.LoginRefused, Client: "<kube>", Remote: "192.0.2.7:1234", Reason: "line\nbreak \u2028 and \"quote\""})
	want := `{"time":"2026-11-22T04:14:15Z","act":"login_refused","issuer":"https://id.example.com","client":"<kube>",` +
		`"remote":"192.0.2.7:1234","reason":"line\nbreak \u2028 and \"quote\""}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("want - got +:\n%s", diff)
	}
}

func TestLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	lines := audit.NewLines(&out, func(err error) { t.Error(err) })
	trail := &audit.Trail{Now: at, Sinks: []func(audit.Event){lines.Write}}
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 100 {
				trail.Record(audit.Event{Act: audit.Issued, TokenID: strings.Repeat("x", 300)})
			}
		})
	}
	workers.Wait()
	read, scanner := 0, bufio.NewScanner(&out)
	for scanner.Scan() {
		var event audit.Event
		if err := json.Unmarshal(scanner.Bytes(), &event); err != nil || event.Act != audit.Issued {
			t.Fatalf("%v: %s", err, scanner.Text())
		}
		read++
	}
	if read != 800 {
		t.Errorf("got %d events, want 800", read)
	}
}

func TestEverySinkHears(t *testing.T) {
	var heard []string
	trail := &audit.Trail{Now: at, Issuer: "https://a.example", Sinks: []func(audit.Event){
		func(e audit.Event) { heard = append(heard, "first "+string(e.Issuer)) },
		func(e audit.Event) { heard = append(heard, "second "+e.Time.String()) },
	}}
	trail.Record(audit.Event{Act: audit.LoggedIn})
	trail.Record(audit.Event{Act: audit.LoggedIn, Issuer: "https://b.example", Time: at().Add(time.Hour)})
	want := []string{
		"first https://a.example", "second 2026-11-22 04:14:15 +0000 UTC",
		"first https://b.example", "second 2026-11-22 05:14:15 +0000 UTC",
	}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("want - got +:\n%s", diff)
	}
	(*audit.Trail)(nil).Record(audit.Event{Act: audit.LoggedIn}) // nobody listens
}

func TestWhatABrowserCallsItselfIsCutShort(t *testing.T) {
	var got audit.Event
	trail := &audit.Trail{Now: at, Sinks: []func(audit.Event){func(e audit.Event) { got = e }}}
	trail.Record(audit.Event{Agent: strings.Repeat("ä", 5000)})
	if len(got.Agent) != 200 {
		t.Errorf("got %d bytes, want 200", len(got.Agent))
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestALostLineIsTold(t *testing.T) {
	var lost []error
	lines := audit.NewLines(full{}, func(err error) { lost = append(lost, err) })
	lines.Write(audit.Event{Act: audit.LoggedIn})
	if len(lost) != 1 || !errors.Is(lost[0], errFull) {
		t.Fatalf("got %v, want one error", lost)
	}
	var out bytes.Buffer
	if old := lines.Reopen(&out); old != (full{}) {
		t.Errorf("got %v, want the old writer", old)
	}
	lines.Write(audit.Event{Act: audit.LoggedIn})
	if len(lost) != 1 || out.Len() == 0 {
		t.Errorf("after reopening: %d lost, %d bytes written", len(lost), out.Len())
	}
}

func BenchmarkRecord(b *testing.B) {
	lines := audit.NewLines(discard{}, func(err error) { b.Error(err) })
	trail := &audit.Trail{Issuer: "https://id.example.com", Now: at, Sinks: []func(audit.Event){lines.Write}}
	b.ReportAllocs()
	for b.Loop() {
		trail.Record(audit.Event{Act: audit.Issued, Client: "kubernetes", Subject: "alice", Grant: "g", TokenID: "t", Remote: "192.0.2.7:1234"})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
