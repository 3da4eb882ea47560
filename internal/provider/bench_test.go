// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package provider_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// A call sends a request to the provider and reads the whole answer.
type call func(*http.Request) (status int, header http.Header, body string)

// transports are the two ways to the provider: without a network, so that the
// processor's time is the provider's, and by HTTPS on the loopback interface
// with connections kept open, as a client has it. Both write to the same kind
// of file below the temporary directory: for figures that mean something it
// must lie on a real disk.
func transports(i *issuer) map[string]call {
	client := i.client(nil)
	return map[string]call{
		"handler": func(r *http.Request) (int, http.Header, string) {
			w := httptest.NewRecorder()
			r.RemoteAddr = "192.0.2.1:1234"
			i.handler.ServeHTTP(w, r)
			return w.Code, w.Header(), w.Body.String()
		},
		"https": func(r *http.Request) (int, http.Header, string) {
			response, err := client.Do(r)
			if err != nil {
				return 0, nil, err.Error()
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return 0, nil, err.Error()
			}
			return response.StatusCode, response.Header, string(body)
		},
	}
}

// measure runs b.N acts on so many workers at once and reports what a person
// who waits and a machine that pays would ask: the rate, the 50th and 99th
// percentile of one act, and the processor's time for each (of this whole
// process: the provider, and its client where there is one).
func measure(b *testing.B, workers int, act func(worker int) error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var working sync.WaitGroup
	before := processorTime(b)
	b.ResetTimer()
	start := time.Now()
	for worker := range workers {
		working.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				began := time.Now()
				if err := act(worker); err != nil {
					b.Error(err)
					return
				}
				took[n] = time.Since(began)
			}
		})
	}
	working.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	spent := processorTime(b) - before
	slices.Sort(took)
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "op/s")
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(spent)/float64(b.N), "cpu-ms/op")
	b.ReportMetric(0, "ns/op") // the sum over the workers says nothing
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// newRequest is for goroutines that must not end the benchmark.
func newRequest(method, address string, form url.Values) *http.Request {
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // the addresses are constants
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func BenchmarkDiscovery(b *testing.B) { benchmarkGet(b, "/.well-known/openid-configuration") }
func BenchmarkKeySet(b *testing.B)    { benchmarkGet(b, "/keys") }

func benchmarkGet(b *testing.B, path string) {
	i := newIssuer(b)
	for name, send := range transports(i) {
		for _, workers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, workers), func(b *testing.B) {
				measure(b, workers, func(int) error {
					if status, _, body := send(newRequest("GET", issuerURL+path, nil)); status != 200 {
						return fmt.Errorf("status %d: %s", status, body)
					}
					return nil
				})
			})
		}
	}
}

// BenchmarkLogin is a whole login of the authorization code flow: the page,
// the form, the code for the tokens. Two commits.
func BenchmarkLogin(b *testing.B) {
	for name, cost := range map[string]local.Cost{"cheap-hash": cheap, "default-hash": local.DefaultCost} {
		i := newIssuer(b, func(i *issuer) {
			hasher, err := local.NewHasher(cost)
			check(b, err)
			i.hasher = hasher
			i.config.Now = time.Now
		})
		hash, err := i.hasher.Hash(b.Context(), secret.New(alicePassword))
		check(b, err)
		for n := range 64 {
			user := identity.User{Username: fmt.Sprint("user-", n)}
			user.Subject = local.NewSubject(user.Username)
			check(b, i.rows.AddAccount(b.Context(), local.Account{User: user, PasswordHash: hash}, birth))
		}
		var user atomic.Int64
		for transport, send := range transports(i) {
			for _, workers := range []int{1, 4, 16} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, transport, workers), func(b *testing.B) {
					measure(b, workers, func(int) error {
						_, err := logInBy(send, fmt.Sprint("user-", user.Add(1)%64), "kubernetes")
						return err
					})
				})
			}
		}
	}
}

// logInBy returns the answer of the token endpoint.
func logInBy(send call, username, client string) (string, error) {
	status, header, body := send(newRequest("GET", issuerURL+"/authorize?"+request("client_id", client).Encode(), nil))
	_, rest, ok := strings.Cut(body, `name="request" value="`)
	sealed, _, _ := strings.Cut(rest, `"`)
	if status != 200 || !ok {
		return "", fmt.Errorf("login page: status %d: %s", status, body)
	}
	r := newRequest("POST", issuerURL+"/login", url.Values{"request": {sealed}, "login": {username}, "password": {alicePassword}})
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	r.Header.Set("Cookie", cookie)
	status, header, body = send(r)
	place, err := url.Parse(header.Get("Location"))
	if status != 303 || err != nil || place.Query().Get("code") == "" {
		return "", fmt.Errorf("form: status %d: %s", status, body)
	}
	status, _, body = send(newRequest("POST", issuerURL+"/token", codeForm(place.Query().Get("code"), "client_id", client)))
	if status != 200 {
		return "", fmt.Errorf("code: status %d: %s", status, body)
	}
	return body, nil
}

// BenchmarkRefresh is one refresh grant, each worker with a login of its own:
// one commit, an access token by ES256 and an ID token by the algorithm named.
func BenchmarkRefresh(b *testing.B) {
	i := newIssuer(b, func(i *issuer) { i.config.Now = time.Now })
	for _, alg := range []string{"RS256", "ES256"} {
		i.addClient(clientregistry.Client{ID: oidc.ClientID("refresh-" + alg), RedirectURIs: []string{"http://localhost:8000"}, SigningAlg: alg}, "")
		client := "refresh-" + alg
		for transport, send := range transports(i) {
			for _, workers := range []int{1, 4, 16} {
				b.Run(fmt.Sprintf("%s/%s/%d", alg, transport, workers), func(b *testing.B) {
					current := make([]string, workers)
					for worker := range current {
						body, err := logInBy(send, "alice", client)
						check(b, err)
						current[worker] = refreshTokenIn(body)
					}
					measure(b, workers, func(worker int) error {
						status, _, body := send(newRequest("POST", issuerURL+"/token", refreshForm(current[worker], "client_id", client)))
						if status != 200 {
							return fmt.Errorf("status %d: %s", status, body)
						}
						current[worker] = refreshTokenIn(body)
						return nil
					})
				})
			}
		}
	}
}

func refreshTokenIn(body string) string {
	_, rest, _ := strings.Cut(body, `"refresh_token":"`)
	found, _, _ := strings.Cut(rest, `"`)
	return found
}

// BenchmarkSignature is what signing alone allows on the same processors: the
// tokens' signatures are the floor of a refresh grant.
func BenchmarkSignature(b *testing.B) {
	keys, err := sharedKeys()
	check(b, err)
	for _, alg := range []string{"RS256", "ES256"} {
		for _, workers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", alg, workers), func(b *testing.B) {
				measure(b, workers, func(int) error {
					_, err := keys.Sign(alg, "JWT", map[string]string{"sub": "alice"})
					return err
				})
			})
		}
	}
}

// BenchmarkPasswordHash is what the default password hash costs beside it.
func BenchmarkPasswordHash(b *testing.B) {
	hasher, err := local.NewHasher(local.DefaultCost)
	check(b, err)
	text, err := hasher.Hash(b.Context(), secret.New(alicePassword))
	check(b, err)
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			measure(b, workers, func(int) error {
				_, err := hasher.Check(b.Context(), text, secret.New(alicePassword))
				return err
			})
		})
	}
}
