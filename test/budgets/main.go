// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command budgets reads the output of the benchmarks on standard input, passes
// it on, and then compares it with the budgets of the project. "make bench"
// ends with it. It exits with 3 if a budget was exceeded.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tegata/tegata/internal/exit"
)

// budget is a limit on one metric of one benchmark.
type budget struct {
	what      string
	benchmark string // without the number of processors at the end
	metric    string
	limit     float64
}

func budgets() []budget {
	return []budget{
		{what: "warm get-token, against a one-line program", benchmark: "BenchmarkWarm", metric: "x-hello", limit: 1.6},
		{what: "warm get-token, resident", benchmark: "BenchmarkFootprint", metric: "MiB-resident", limit: 6},
		{what: "warm get-token, instructions", benchmark: "BenchmarkFootprint", metric: "M-instructions", limit: 1},
		{what: "plugin, stripped", benchmark: "BenchmarkFootprint", metric: "MB-binary", limit: 8},
		{what: "plugin refresh, requests to the provider", benchmark: "BenchmarkRefresh", metric: "requests/refresh", limit: 1},
		{what: "plugin login, after the token request", benchmark: "BenchmarkLogin/idle", metric: "ms-after-token-request", limit: 5},
		{what: "provider, refresh with RS256, server CPU against its signatures", benchmark: "BenchmarkProviderRefresh/SQLite/RS256/16", metric: "x-signatures", limit: 1.5},
		{what: "provider, refresh with ES256, server CPU (4,000/s on one core)", benchmark: "BenchmarkProviderRefresh/SQLite/ES256/16", metric: "server-cpu-ms/op", limit: 0.25},
		{what: "the same on PostgreSQL: RS256 against its signatures", benchmark: "BenchmarkProviderRefresh/PostgreSQL/RS256/16", metric: "x-signatures", limit: 1.5},
		{what: "the same on PostgreSQL: ES256", benchmark: "BenchmarkProviderRefresh/PostgreSQL/ES256/16", metric: "server-cpu-ms/op", limit: 0.25},
		{what: "provider, logins on SQLite, 16 at a time", benchmark: "BenchmarkProviderLogin/cheap-hash/SQLite/16", metric: "failed", limit: 0},
		{what: "provider, logins on SQLite, 64 at a time", benchmark: "BenchmarkProviderLogin/cheap-hash/SQLite/64", metric: "failed", limit: 0},
		{what: "provider, logins on PostgreSQL, 16 at a time", benchmark: "BenchmarkProviderLogin/cheap-hash/PostgreSQL/16", metric: "failed", limit: 0},
		{what: "provider, logins on PostgreSQL, 64 at a time", benchmark: "BenchmarkProviderLogin/cheap-hash/PostgreSQL/64", metric: "failed", limit: 0},
		{what: "provider, discovery, server CPU (20,000/s on one core)", benchmark: "BenchmarkProviderDocuments/SQLite/discovery/16", metric: "server-cpu-ms/op", limit: 0.05},
		{what: "provider, key set, server CPU (20,000/s on one core)", benchmark: "BenchmarkProviderDocuments/SQLite/keys/16", metric: "server-cpu-ms/op", limit: 0.05},
		{what: "the same on PostgreSQL: discovery", benchmark: "BenchmarkProviderDocuments/PostgreSQL/discovery/16", metric: "server-cpu-ms/op", limit: 0.05},
		{what: "the same on PostgreSQL: key set", benchmark: "BenchmarkProviderDocuments/PostgreSQL/keys/16", metric: "server-cpu-ms/op", limit: 0.05},
		{what: "provider, start to first key set", benchmark: "BenchmarkProviderStart", metric: "start-ms", limit: 50},
		{what: "provider, resident when idle", benchmark: "BenchmarkProviderStart", metric: "resident-MiB", limit: 35},
		{what: "login by LDAP, 20 groups: connections to the directory", benchmark: "BenchmarkFrontDoor/login/groups=20/1", metric: "connections/op", limit: 1},
		{what: "login by LDAP, 200 groups: connections to the directory", benchmark: "BenchmarkFrontDoor/login/groups=200/4", metric: "connections/op", limit: 1},
		{what: "login pages without a credential, bytes written", benchmark: "BenchmarkStorageFlood", metric: "bytes-written", limit: 0},
	}
}

func main() {
	over, err := compare(os.Stdin, os.Stdout)
	switch {
	case err != nil:
		os.Exit(exit.Report(os.Stderr, err))
	case over:
		os.Exit(exit.Findings)
	}
}

// compare reports whether a budget was exceeded.
func compare(in io.Reader, out io.Writer) (over bool, err error) {
	measured := map[string]string{} // benchmark and metric → value
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0]
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			name = name[:at]
		}
		for i := 2; i+1 < len(fields); i += 2 {
			measured[name+" "+fields[i+1]] = fields[i]
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("reading the benchmarks: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nBUDGET\tMEASURED\tAT MOST\tVERDICT")
	for _, b := range budgets() {
		text, ok := measured[b.benchmark+" "+b.metric]
		value, parseErr := strconv.ParseFloat(text, 64)
		verdict := "within"
		switch {
		case !ok || parseErr != nil: // instructions want valgrind
			text, verdict = "-", "not measured"
		case value > b.limit:
			verdict, over = "OVER", true
		}
		fmt.Fprintf(table, "%s\t%s\t%g %s\t%s\n", b.what, text, b.limit, b.metric, verdict)
	}
	return over, table.Flush()
}
