// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
)

// A password must not cross a network in the clear because nobody thought of
// sslmode. What is said explicitly, is done.
func TestPostgresURLMeansEncryptionBeyondTheMachine(t *testing.T) {
	t.Parallel()
	const (
		verified  = "the certificate and its name are verified"
		encrypted = "encrypted, whoever it is"
		open      = "not encrypted"
		either    = "either"
	)
	for address, want := range map[string]string{
		"postgres://tegata@db.example.com/tegata":                                         verified,
		"postgresql://tegata@db.example.com:5433/tegata":                                  verified,
		"postgres://tegata@db.example.com/tegata?connect_timeout=3":                       verified,
		"postgres://tegata@192.0.2.1/tegata":                                              verified,
		"postgres://tegata@[2001:db8::1]:5432/tegata":                                     verified,
		"postgres://tegata@localhost,db.example.com/tegata":                               verified,
		"postgres://tegata@db1.example.com,db2.example.com/tegata":                        verified,
		"postgres://tegata@localhost.example.com/tegata":                                  verified,
		"postgres:///tegata?host=db.example.com":                                          verified,
		"postgres://tegata@db.example.com/tegata?sslmode=require":                         encrypted,
		"postgres://tegata@db.example.com/tegata?sslmode=disable":                         open,
		"postgres://tegata@localhost/tegata":                                              either,
		"postgres://tegata@127.0.0.1:5432/tegata":                                         either,
		"postgres://tegata@[::1]/tegata":                                                  either,
		"postgres://tegata@localhost/tegata?sslmode=verify-full":                          verified,
		"postgres:///tegata?host=/var/run/postgresql":                                     open,
		"postgres://tegata@/tegata?host=/var/run/postgresql&default_query_exec_mode=exec": open,
	} {
		config, err := store.Postgres{URL: address, Password: secret.New("p"), Timeout: 1}.Connection()
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got := protection(config, verified, encrypted, open, either); got != want {
			t.Errorf("%s: %s, want: %s", address, got, want)
		}
		if config.Password != "p" || config.RuntimeParams["application_name"] != "tegata" {
			t.Errorf("%s: password %q, parameters %v", address, config.Password, config.RuntimeParams)
		}
	}
}

// protection is that of the weakest way to the server that may be tried.
func protection(c *pgx.ConnConfig, verified, encrypted, open, either string) string {
	ways := map[string]bool{}
	note := func(host string, secure, skip bool, name string) {
		switch {
		case !secure:
			ways[open] = true
		case skip:
			ways[encrypted] = true
		case name == host:
			ways[verified] = true
		default:
			ways["verified for the name "+name] = true
		}
	}
	note(c.Host, c.TLSConfig != nil, c.TLSConfig != nil && c.TLSConfig.InsecureSkipVerify, nameOf(c))
	for _, other := range c.Fallbacks {
		name := ""
		if other.TLSConfig != nil {
			name = other.TLSConfig.ServerName
		}
		note(other.Host, other.TLSConfig != nil, other.TLSConfig != nil && other.TLSConfig.InsecureSkipVerify, name)
	}
	switch {
	case ways[open] && ways[encrypted]:
		return either
	case len(ways) == 1:
		for way := range ways {
			return way
		}
	}
	return fmt.Sprint(ways)
}

func nameOf(c *pgx.ConnConfig) string {
	if c.TLSConfig == nil {
		return ""
	}
	return c.TLSConfig.ServerName
}

func TestPostgresURLThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	for address, want := range map[string]string{
		"":                                     "it must be postgres://USER@HOST:PORT/DATABASE",
		"db.example.com":                       "it must be postgres://USER@HOST:PORT/DATABASE",
		"mysql://tegata@db.example.com/tegata": "it must be postgres://USER@HOST:PORT/DATABASE",
		"host=db.example.com password=" + password:                              "it must be postgres://USER@HOST:PORT/DATABASE",
		"postgres://tegata:" + password + "@db.example.com/tegata":              "it holds a password; give that by file or environment",
		"postgres://:" + password + "@db.example.com/tegata":                    "it holds a password; give that by file or environment",
		"postgres://tegata:c/" + password + "?" + password + "@db.example.com/": "it is not understood",
		"postgres://tegata:c/d?" + password + "@db.example.com/":                "it is not understood",
		"postgres://db.example.com/tegata?password=" + password:                 `it has the parameter "password"; known are `,
		"postgres://db.example.com/tegata?passfile=x":                           `it has the parameter "passfile"; known are `,
		"postgres://db.example.com/tegata?sslmod=disable":                       `it has the parameter "sslmod"; known are `,
		"postgres://db.example.com/tegata?sslmode=no":                           "it is not understood",
		"postgres://tegata@db.example.com:" + password + "/tegata":              "it is not understood",
		"postgres://db.example.com/tegata?default_query_exec_mode=odd":          "it is not understood",
		"postgres://db.example.com/tegata?%zz":                                  "the part behind its question mark cannot be read",
		"postgres://db.example.com/tegata?sslrootcert=/nowhere/ca.crt":          "open /nowhere/ca.crt: no such file or directory",
	} {
		err := store.CheckPostgresURL(address)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", address, err, want)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the message holds the password: %v", address, err)
		}
	}
	if err := (store.Postgres{URL: "postgres://db.example.com/tegata?sslrootcert=a", CAFile: "b"}).Check(); err == nil {
		t.Error("two certificate authorities were taken")
	}
}

// Whatever the URL is, a password in it is not repeated.
func FuzzPostgresURL(f *testing.F) {
	const password = "c0rrect-h0rse"
	for _, address := range []string{
		"postgres://tegata@db.example.com/tegata", "postgres://tegata:PASSWORD@[::1]:1,b:2/x?sslmode=require",
		"postgresql://%41@h/?port=1&host=a,b", "postgres://u:/?PASSWORD@h", "postgres://u:p:PASSWORD@h", "postgres:///?password=PASSWORD",
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		address = strings.ReplaceAll(address, "PASSWORD", password)
		if err := store.CheckPostgresURL(address); err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%v", err)
		}
	})
}
