// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"

	"github.com/tegata/tegata/internal/seal"
)

// These benchmarks measure the provider as a process of its own, over https
// on a loopback address and with a database on the disk of the temporary
// directory. Beside the rate they report what one operation costs the server
// in processor time, which other load on the machine disturbs least.

// cpu is the processor time that a process has used.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := read(b, filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// measure runs b.N operations, workers at a time, and reports the rate, the
// latency and the server's processor time, which it returns. do gets the
// number of its worker.
func measure(b *testing.B, p *provider, workers int, do func(worker int) error) (cpuPerOperation time.Duration) {
	b.Helper()
	took := make([][]time.Duration, workers)
	var left atomic.Int64
	left.Store(int64(b.N))
	before := cpu(b, p.process.Process.Pid)
	b.ResetTimer()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				began := time.Now()
				if err := do(worker); err != nil {
					b.Error(err)
					return
				}
				took[worker] = append(took[worker], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	used := cpu(b, p.process.Process.Pid) - before
	each := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(each) == 0 {
		return 0
	}
	at := func(percent int) float64 { return float64(each[(len(each)-1)*percent/100].Microseconds()) / 1000 }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
	b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "server-cpu-ms/op")
	return used / time.Duration(b.N)
}

// BenchmarkSignature is what signing alone costs on the same cores.
func BenchmarkSignature(b *testing.B) {
	keys, err := signingkey.Open(b.Context(), signingkey.Custody{Storage: &memory{}, Sealer: seal.RandomKey()})
	if err != nil {
		b.Fatal(err)
	}
	for _, alg := range signingkey.Algorithms() {
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if _, err := keys.Sign(alg, "JWT", oidc.Claims{Issuer: "https://id.example.com", Subject: "alice"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// memory keeps signing keys for a benchmark.
type memory struct{ keys []signingkey.Record }

func (m *memory) SigningKeys(context.Context) ([]signingkey.Record, error) { return m.keys, nil }

func (m *memory) ChangeSigningKeys(_ context.Context, change signingkey.Change) error {
	m.keys = signingkey.Apply(m.keys, change)
	return nil
}

// crowds are how many users there are at a time.
func crowds() []int { return []int{1, 4, 16, 64} }

// onEachStorage runs a benchmark of a provider that has the user alice.
func onEachStorage(b *testing.B, config string, run func(b *testing.B, p *provider, password secret.String)) {
	for _, storage := range storages() {
		b.Run(storage, func(b *testing.B) {
			p, _ := serveOn(b, storage, "log: {level: warn}\n"+config)
			run(b, p, p.alice())
		})
	}
}

func (p *provider) agents(b *testing.B, client string, count int) []*agent {
	b.Helper()
	agents := make([]*agent, count)
	for i := range agents {
		agents[i] = p.agent(b, client)
	}
	return agents
}

func BenchmarkProviderDocuments(b *testing.B) {
	onEachStorage(b, "", func(b *testing.B, p *provider, _ secret.String) {
		for _, document := range []struct{ name, path string }{
			{"discovery", "/.well-known/openid-configuration"},
			{"keys", "/keys"},
		} {
			for _, workers := range crowds() {
				b.Run(fmt.Sprintf("%s/%d", document.name, workers), func(b *testing.B) {
					agents := p.agents(b, "kubernetes", workers)
					measure(b, p, workers, func(worker int) error {
						response, _, err := agents[worker].send(b.Context(), http.MethodGet, document.path, nil)
						if err == nil && response.StatusCode != http.StatusOK {
							err = fmt.Errorf("answered %s", response.Status)
						}
						return err
					})
				})
			}
		}
	})
}

// BenchmarkProviderLogin counts the logins that failed, in place of stopping
// at the first.
func BenchmarkProviderLogin(b *testing.B) {
	for _, hash := range []struct{ name, config string }{
		{"cheap-hash", "password_hash: {memory_kib: 8, time: 1}\n"},
		{"default-hash", ""},
	} {
		b.Run(hash.name, func(b *testing.B) {
			onEachStorage(b, hash.config, func(b *testing.B, p *provider, password secret.String) {
				p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
				for _, workers := range crowds() {
					b.Run(strconv.Itoa(workers), func(b *testing.B) {
						agents := p.agents(b, "kubernetes", workers)
						var failed atomic.Int64
						measure(b, p, workers, func(worker int) error {
							if _, err := agents[worker].logIn(b.Context(), "alice", password); err != nil {
								b.Logf("a login failed: %v", err)
								failed.Add(1)
							}
							return nil
						})
						b.ReportMetric(float64(failed.Load()), "failed")
					})
				}
			})
		})
	}
}

// signatures is the processor time that it takes to sign what a refresh
// answers: an ID token, and an access token with ES256.
func signatures(b *testing.B, alg string) time.Duration {
	b.Helper()
	keys, err := signingkey.Open(b.Context(), signingkey.Custody{Storage: &memory{}, Sealer: seal.RandomKey()})
	if err != nil {
		b.Fatal(err)
	}
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	const times = 200
	before := used()
	for range times {
		for _, alg := range []string{alg, "ES256"} {
			if _, err := keys.Sign(alg, "JWT", oidc.Claims{Issuer: "https://id.example.com", Subject: "alice"}); err != nil {
				b.Fatal(err)
			}
		}
	}
	return (used() - before) / times
}

// BenchmarkProviderRefresh compares what a refresh costs the server with what
// its signatures cost, measured in between.
func BenchmarkProviderRefresh(b *testing.B) {
	onEachStorage(b, "password_hash: {memory_kib: 8, time: 1}\n", func(b *testing.B, p *provider, password secret.String) {
		for _, alg := range signingkey.Algorithms() {
			p.tegata("", "client", "add", "client-"+alg, "--public", "--redirect-uri", "http://localhost:8000", "--signing-alg", alg)
			for _, workers := range crowds() {
				b.Run(fmt.Sprintf("%s/%d", alg, workers), func(b *testing.B) {
					alone := signatures(b, alg)
					agents, tokens := p.agents(b, "client-"+alg, workers), make([]secret.String, workers)
					for i, a := range agents {
						response, err := a.logIn(b.Context(), "alice", password)
						if err != nil {
							b.Fatal(err)
						}
						tokens[i] = response.RefreshToken
					}
					used := measure(b, p, workers, func(worker int) error {
						response, err := agents[worker].refresh(b.Context(), tokens[worker])
						tokens[worker] = response.RefreshToken
						return err
					})
					b.ReportMetric(float64(used)/float64(alone), "x-signatures")
				})
			}
		}
	})
}

// BenchmarkProviderStart is the time from the start of the process to the
// first key set, on a database that exists, and what it keeps resident.
func BenchmarkProviderStart(b *testing.B) {
	p := serve(b, "")
	p.alice()
	a := p.agent(b, "kubernetes")
	resident := 0.0
	for b.Loop() {
		b.StopTimer()
		p.stop(os.Interrupt)
		p.process = exec.Command(filepath.Join(binDir, "tegata"), "serve", "--dev", "--data-dir", p.dir, "--listen", p.listen)
		p.process.Stderr = p.said
		p.ended = make(chan struct{})
		b.StartTimer()
		if err := p.process.Start(); err != nil {
			b.Fatal(err)
		}
		go func() { _ = p.process.Wait(); close(p.ended) }()
		for {
			if _, _, err := a.send(b.Context(), http.MethodGet, "/keys", nil); err == nil {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		b.StopTimer()
		for line := range strings.Lines(read(b, fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kib, err := strconv.Atoi(strings.Fields(value)[0])
				if err != nil {
					b.Fatal(err)
				}
				resident = float64(kib) / 1024
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "start-ms")
	b.ReportMetric(resident, "resident-MiB")
}

// BenchmarkStorageFlood shows what requests without a credential write:
// nothing.
func BenchmarkStorageFlood(b *testing.B) {
	p := serve(b, "log: {level: warn}\n")
	p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	a := p.agent(b, "kubernetes")
	size := func() (total int64) {
		for _, name := range []string{"tegata.db", "tegata.db-wal"} {
			if info, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
				total += info.Size()
			}
		}
		return total
	}
	before := size()
	path := "/authorize?response_type=code&client_id=kubernetes&redirect_uri=http://localhost:8000&scope=openid&code_challenge_method=S256&code_challenge=" + oidc.CodeChallenge(secret.New(rand.Text()))
	measure(b, p, 1, func(int) error {
		_, _, err := a.send(b.Context(), http.MethodGet, path, nil)
		return err
	})
	b.ReportMetric(float64(size()-before), "bytes-written")
}
