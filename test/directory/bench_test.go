// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/identity/ldap"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/directory"
)

// BenchmarkDirectory is one login or one lookup at a time, of users in so
// many groups, half of them nested, and the connections that each opened.
func BenchmarkDirectory(b *testing.B) {
	var ldif strings.Builder
	counts := []int{0, 20, 200}
	for _, count := range counts {
		name := fmt.Sprintf("member%d", count)
		ldif.WriteString(person("uid="+name, name, ""))
	}
	server := directory.Start(b, ldif.String())
	for _, count := range counts {
		for i := range count / 2 {
			flat := fmt.Sprintf("flat-%d-%d", count, i)
			group(b, server, flat, user(fmt.Sprintf("member%d", count)))
			group(b, server, fmt.Sprintf("nested-%d-%d", count, i), groupDN(flat))
		}
	}
	for _, count := range counts {
		name := fmt.Sprintf("member%d", count)
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
