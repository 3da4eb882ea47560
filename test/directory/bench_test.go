// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/identity/ldap"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/directory"
)

// memberships are how many groups the users member0, member20 and member200
// are in, half of them through another group.
func memberships() []int { return []int{0, 20, 200} }

func member(groups int) string { return fmt.Sprintf("member%d", groups) }

func crowded(b *testing.B) *directory.Server {
	b.Helper()
	var ldif strings.Builder
	for _, count := range memberships() {
		ldif.WriteString(person("uid="+member(count), member(count), ""))
	}
	server := directory.Start(b, ldif.String())
	for _, count := range memberships() {
		for i := range count / 2 {
			flat := fmt.Sprintf("flat-%d-%d", count, i)
			group(b, server, flat, user(member(count)))
			group(b, server, fmt.Sprintf("nested-%d-%d", count, i), groupDN(flat))
		}
	}
	return server
}

// BenchmarkFrontDoor is logins and refreshes through the whole server: from
// the login page to the tokens, with all that is written on the way. The
// connections to the directory are counted after the first login.
func BenchmarkFrontDoor(b *testing.B) {
	server := crowded(b)
	address, opened := relay(b, strings.TrimPrefix(server.LDAPS, "ldaps://"))
	source := corp(server)
	source.of("ldap")["servers"] = []string{"ldaps://" + address}
	source.of("ldap", "groups")["nested"] = "walk"
	p := serve(b, source)
	for _, count := range memberships() {
		for _, workers := range []int{1, 4} {
			logins := make([]*login, workers)
			for i := range logins {
				var said claims
				if logins[i], said = p.logIn("", member(count), member(count)+"-password"); len(said.Groups) != count {
					b.Fatalf("got %d groups, want %d", len(said.Groups), count)
				}
			}
			name := fmt.Sprintf("groups=%d/%d", count, workers)
			b.Run("login/"+name, func(b *testing.B) {
				measure(b, p, opened, workers, func(worker int) error {
					l := logins[worker]
					got, err := l.tryLogIn("", member(count), member(count)+"-password")
					if err == nil && got.code == "" {
						err = fmt.Errorf("got %d: %s", got.status, got.text)
					}
					if err != nil {
						return err
					}
					_, err = l.tryToken(l.redemption(got))
					return err
				})
			})
			b.Run("refresh/"+name, func(b *testing.B) {
				measure(b, p, opened, workers, func(worker int) error {
					got, err := logins[worker].tryRefresh()
					if err == nil && got.status != 200 {
						err = &got.refused
					}
					return err
				})
			})
		}
	}
}

// measure runs b.N operations, workers at a time.
func measure(b *testing.B, p *tegata, opened *atomic.Int64, workers int, do func(worker int) error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	connections, used := opened.Load(), cpu(b, p.process.ID())
	b.ResetTimer()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(worker); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(opened.Load()-connections)/float64(b.N), "connections/op")
	b.ReportMetric(float64((cpu(b, p.process.ID())-used).Milliseconds())/float64(b.N), "server-cpu-ms/op")
}

// cpu is the processor time that a process has used.
func cpu(b *testing.B, pid int) (used time.Duration) {
	b.Helper()
	stat := read(b, filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		ticks, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}

// BenchmarkDirectory is one login or one lookup at a time, of users in so
// many groups, half of them nested, and the connections that each opened.
func BenchmarkDirectory(b *testing.B) {
	server := crowded(b)
	for _, count := range memberships() {
		name := member(count)
		for _, work := range []string{"login", "lookup"} {
			b.Run(fmt.Sprintf("%s/groups=%d", work, count), func(b *testing.B) {
				address, opened := relay(b, strings.TrimPrefix(server.LDAPS, "ldaps://"))
				c := config(b, server)
				c.Groups.Nested = ldap.Walk
				c.Servers = []string{"ldaps://" + address}
				source := open(b, c)
				found, _, err := source.Explain(b.Context(), name)
				if err != nil || len(found.Groups) != count {
					b.Fatalf("got %d groups, %v", len(found.Groups), err)
				}
				for b.Loop() {
					if work == "login" {
						_, err = source.Authenticate(b.Context(), name, secret.New(name+"-password"))
					} else {
						_, err = source.Lookup(b.Context(), found.Subject)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(opened.Load())/float64(b.N), "connections/op")
			})
		}
	}
}
