// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/process"
)

// soakVariable says for how long TestSoak runs on each storage; "make soak"
// sets it. Unless it is long enough for a comparison, the test shows only that
// nothing fails.
const (
	soakVariable  = "SOAK"
	soakBriefly   = 3 * time.Second
	soakToCompare = 50 * time.Second
)

// lap is a tenth of a soak.
type lap struct {
	acts       int
	p50, p99   time.Duration
	resident   float64 // MiB, at its end
	goroutines float64
}

// worseThan says what has become much worse since an earlier lap. Garbage and
// whoever else uses the machine make some difference; a leak makes more.
func (l lap) worseThan(before lap) (problems []string) {
	if most := before.resident*1.25 + 8; l.resident > most {
		problems = append(problems, fmt.Sprintf("%.1f MiB are resident, at most %.1f were to be expected", l.resident, most))
	}
	if most := before.goroutines*1.25 + 50; l.goroutines > most {
		problems = append(problems, fmt.Sprintf("there are %.0f goroutines, at most %.0f were to be expected", l.goroutines, most))
	}
	if most := before.p99*2 + 20*time.Millisecond; l.p99 > most {
		problems = append(problems, fmt.Sprintf("the 99th percentile is %s, at most %s was to be expected", l.p99, most))
	}
	return problems
}

// stopwatch collects how long each act took.
type stopwatch struct {
	mu   sync.Mutex // guards the fields below
	took []time.Duration
}

// lap returns what was collected since the last.
func (s *stopwatch) lap() lap {
	s.mu.Lock()
	took := s.took
	s.took = nil
	s.mu.Unlock()
	if len(took) == 0 {
		return lap{}
	}
	slices.Sort(took)
	return lap{acts: len(took), p50: took[len(took)/2], p99: took[len(took)*99/100]}
}

// A provider that serves all kinds of requests for a long time ends with the
// memory and the latency that it began with, and nothing fails.
func TestSoak(t *testing.T) {
	length := soakBriefly
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakVariable, err)
		}
	}
	for _, storage := range storages() {
		t.Run(storage, func(t *testing.T) { soak(t, storage, length) })
	}
}

func soak(t *testing.T, storage string, length time.Duration) {
	const workers, laps = 8, 10
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	metrics := "127.0.0.1:" + strconv.Itoa(port)
	p, _ := serveOn(t, storage, fmt.Sprintf("metrics: {listen: %q}\npassword_hash: {memory_kib: 8, time: 1}\n", metrics))
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")

	ctx, stop := context.WithCancel(t.Context())
	var watch stopwatch
	var inFlight sync.WaitGroup
	t.Cleanup(func() { stop(); inFlight.Wait() })
	for range workers {
		a := p.agent(t, "kubernetes")
		inFlight.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := a.live(ctx, &watch, password, n%2 == 0); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	t.Logf("%d clients on %s for %s", workers, storage, length)
	var done []lap
	for range laps {
		time.Sleep(length / laps)
		now := watch.lap()
		found, err := gauges(ctx, metrics)
		if err != nil {
			t.Fatal(err)
		}
		now.resident, now.goroutines = found["process_resident_memory_bytes"]/(1<<20), found["go_goroutines"]
		done = append(done, now)
		t.Logf("%8s: %6d requests, p50 %6.1f ms, p99 %6.1f ms, %6.1f MiB resident, %4.0f goroutines",
			(length * time.Duration(len(done)) / laps).Round(time.Millisecond), now.acts,
			milliseconds(now.p50), milliseconds(now.p99), now.resident, now.goroutines)
	}
	if now := done[laps-1]; now.acts == 0 || now.resident == 0 || now.goroutines == 0 {
		t.Errorf("at the end nothing was measured: %+v", now)
	}
	if length >= soakToCompare {
		for _, problem := range done[laps-1].worseThan(done[1]) {
			t.Errorf("after %s: %s", length, problem)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// live is what a person and their client do with one login, with pauses. Some
// log out at the end.
func (a *agent) live(ctx context.Context, watch *stopwatch, password secret.String, logOut bool) error {
	jar, err := cookiejar.New(nil) // a browser that has not been here
	if err != nil {
		return err
	}
	a.web.Jar = jar
	act := func(what string, do func() error) {
		if err != nil || ctx.Err() != nil {
			return
		}
		began := time.Now()
		if err = do(); err != nil {
			err = fmt.Errorf("%s: %w", what, err)
			return
		}
		took := time.Since(began)
		watch.mu.Lock()
		watch.took = append(watch.took, took)
		watch.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	get := func(path string) func() error {
		return func() error {
			response, _, err := a.send(ctx, http.MethodGet, path, nil)
			if err == nil && response.StatusCode != http.StatusOK {
				err = errors.New("answered " + response.Status)
			}
			return err
		}
	}
	tokens, err := a.logIn(ctx, "alice", password)
	for range 3 {
		act("refresh", func() (err error) {
			tokens, err = a.refresh(ctx, tokens.RefreshToken)
			return err
		})
		act("userinfo", func() error {
			_, err := a.userinfo(ctx, tokens.AccessToken)
			return err
		})
		act("discovery", get("/.well-known/openid-configuration"))
		act("key set", get("/keys"))
	}
	if logOut && err == nil {
		act("logout", get("/logout?"+url.Values{"id_token_hint": {tokens.IDToken.Reveal()}}.Encode()))
	}
	return err
}

func (a *agent) userinfo(ctx context.Context, token secret.String) (claims string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.p.issuer+"/userinfo", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	response, err := a.web.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New("answered " + response.Status)
	}
	return string(body), err
}

// gauges reads the metrics that have no labels.
func gauges(ctx context.Context, address string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	found := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			found[name] = value
		}
	}
	return found, err
}

// What a soak fails for, and what it does not.
func TestSoakTellsALeak(t *testing.T) {
	t.Parallel()
	before := lap{p99: 40 * time.Millisecond, resident: 40, goroutines: 40}
	for _, test := range []struct {
		name string
		now  lap
		want int
	}{
		{"the same", before, 0},
		{"noise", lap{p99: 90 * time.Millisecond, resident: 50, goroutines: 80}, 0},
		{"slower", lap{p99: 110 * time.Millisecond, resident: 40, goroutines: 40}, 1},
		{"a leak of memory", lap{p99: 40 * time.Millisecond, resident: 60, goroutines: 40}, 1},
		{"a leak of goroutines", lap{p99: 40 * time.Millisecond, resident: 50, goroutines: 400}, 1},
	} {
		if got := test.now.worseThan(before); len(got) != test.want {
			t.Errorf("%s: %q, want %d problems", test.name, got, test.want)
		}
	}
}
