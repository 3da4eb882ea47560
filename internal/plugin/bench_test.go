// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidctest"
)

// The budgets are those of the design: a warm get-token takes at most 1.6
// times the wall time of a program that prints one line, 1 M instructions and
// 6 MiB; a refresh is one request; the credential of a login is out within
// 5 ms of the provider's answer; the program has at most 8 MB.

// shipped is the plugin as "make release" builds it.
func shipped(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	c := exec.Command("make", "--silent", "plugin", "OUT="+dir+"/")
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "MAKEFLAGS=")
	if text, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", c, err, text)
	}
	return install(b, filepath.Join(dir, "kubectl-oidc_login"))
}

// install copies a program, as whatever installs it does. What the linker
// wrote lies in the memory of the system in another way for as long as it
// stays there, and a program in few pages starts sooner than one in many.
func install(b *testing.B, path string) string {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.OpenFile(path+".installed", os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		b.Fatal(err)
	}
	for part := range slices.Chunk(text, 32<<10) {
		if _, err := file.Write(part); err != nil {
			b.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	return file.Name()
}

// buildText compiles a program of one file, and installs it.
func buildText(b *testing.B, name, text string) string {
	b.Helper()
	dir := b.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o600),
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+name+"\n\ngo 1.26\n"), 0o600),
	); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, name)
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if text, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", c, err, text)
	}
	return install(b, path)
}

// bench is a desk at which the real program is used.
type bench struct {
	*desk
	program string
	args    []string
}

func newBench(b *testing.B) bench {
	program := shipped(b)
	d := newDesk(b)
	return bench{d, program, []string{
		"get-token", "--oidc-issuer-url=" + string(d.provider.Issuer), "--oidc-client-id=kubernetes",
		"--certificate-authority=" + d.provider.CAFile(), "--listen-address=127.0.0.1:0",
	}}
}

func (n bench) start(program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Env = append(n.command().Env, `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`)
	return c
}

func (n bench) run(program string, args ...string) time.Duration {
	c := n.start(program, args...)
	began := time.Now()
	if err := c.Run(); err != nil {
		n.t.Fatalf("%s: %v", c, err)
	}
	return time.Since(began)
}

func median[T time.Duration | int64](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkWarm runs a valid token's get-token and the one-line program in
// turn, and compares the medians.
func BenchmarkWarm(b *testing.B) {
	hello := buildText(b, "hello", "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"hello\\n\") }\n")
	n := newBench(b)
	n.run(n.program, n.args...) // logs in
	var plain, warm []time.Duration
	for b.Loop() {
		plain = append(plain, n.run(hello))
		warm = append(warm, n.run(n.program, n.args...))
	}
	b.ReportMetric(milliseconds(median(plain)), "ms/hello")
	b.ReportMetric(milliseconds(median(warm)), "ms/get-token")
	b.ReportMetric(float64(median(warm))/float64(median(plain)), "x-hello")
}

// BenchmarkRefresh renews by the refresh token.
func BenchmarkRefresh(b *testing.B) {
	n := newBench(b)
	n.run(n.program, n.args...)
	n.provider.Forget()
	var took []time.Duration
	for b.Loop() {
		took = append(took, n.run(n.program, append(n.args, "--force-refresh")...))
	}
	requests := 0
	for _, count := range n.provider.Counts() {
		requests += count
	}
	b.ReportMetric(milliseconds(median(took)), "ms/refresh")
	b.ReportMetric(float64(requests)/float64(len(took)), "requests/refresh")
}

// BenchmarkLogin is a whole login with a browser that answers at once, and an
// idle connection that it leaves open.
func BenchmarkLogin(b *testing.B) {
	for _, habit := range []string{"visit", "idle"} {
		b.Run(habit, func(b *testing.B) {
			n := newBench(b)
			n.browser = "browser " + habit
			var mu sync.Mutex // guards answered
			var answered time.Time
			n.provider.Change(func(behaviour *oidctest.Behaviour) {
				behaviour.OnToken = func(url.Values) {
					mu.Lock()
					defer mu.Unlock()
					answered = time.Now()
				}
			})
			var took, after []time.Duration
			for b.Loop() {
				took = append(took, n.run(n.program, append(n.args, "--token-cache-storage=none")...))
				mu.Lock()
				after = append(after, time.Since(answered))
				mu.Unlock()
			}
			b.ReportMetric(milliseconds(median(took)), "ms/login")
			b.ReportMetric(milliseconds(median(after)), "ms-after-token-request")
		})
	}
}

// BenchmarkFootprint reports what a warm run takes beside time.
func BenchmarkFootprint(b *testing.B) {
	n := newBench(b)
	n.run(n.program, n.args...)
	info, err := os.Stat(n.program)
	if err != nil {
		b.Fatal(err)
	}
	// A child's peak counts what its parent held when it was started, so the
	// parent has to be small.
	peak := buildText(b, "peak", `package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	if err := c.Run(); err != nil {
		panic(err)
	}
	fmt.Println(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}
`)
	var resident, instructions []int64
	for b.Loop() {
		text, err := n.start(peak, append([]string{n.program}, n.args...)...).Output()
		if err != nil {
			b.Fatal(err)
		}
		kibibytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		resident = append(resident, kibibytes)
	}
	if valgrind, err := exec.LookPath("valgrind"); err == nil {
		collected := regexp.MustCompile(`Collected : (\d+)`)
		for attempt := 0; attempt < 60 && len(instructions) < 9; attempt++ {
			log := filepath.Join(b.TempDir(), fmt.Sprint("valgrind-", attempt))
			// Often valgrind fails on a program of Go: its log has no count then.
			n.start(valgrind, append([]string{"--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + log, n.program}, n.args...)...).Run() //nolint:errcheck // see above
			text, err := os.ReadFile(log)
			if err != nil {
				b.Fatal(err)
			}
			if match := collected.FindSubmatch(text); match != nil {
				count, err := strconv.ParseInt(string(match[1]), 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				instructions = append(instructions, count)
			}
		}
	}
	if len(instructions) > 0 {
		b.ReportMetric(float64(median(instructions))/1e6, "M-instructions")
	}
	b.ReportMetric(float64(median(resident))/1024, "MiB-resident")
	b.ReportMetric(float64(info.Size())/1e6, "MB-binary")
	b.ReportMetric(0, "ns/op")
}
