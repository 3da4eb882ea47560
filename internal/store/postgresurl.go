// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// parameters are what may stand behind the "?" of the URL. A password may not.
func parameters() []string {
	return []string{
		"host", "port", "application_name", "channel_binding", "connect_timeout", "default_query_exec_mode", "options",
		"require_auth", "search_path", "sslcert", "sslkey", "sslmode", "sslnegotiation", "sslrootcert", "sslsni",
		"statement_cache_capacity", "target_session_attrs",
	}
}

// Check tells why the database cannot be reached with what is given, or
// returns nil. It reads the certificate authority and asks no server.
func (p Postgres) Check() error {
	_, err := parsePostgresURL(p.URL, p.CAFile)
	return err
}

// CheckPostgresURL tells why a URL cannot be used, or returns nil. It wants
// postgres://USER@HOST:PORT/DATABASE as libpq reads it, with several hosts and
// parameters if need be, and without a password. It never quotes the URL.
func CheckPostgresURL(address string) error {
	_, err := parsePostgresURL(address, "")
	return err
}

func parsePostgresURL(address, caFile string) (*pgx.ConnConfig, error) {
	_, rest, ok := strings.Cut(address, "://")
	if !ok || !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return nil, errors.New("it must be postgres://USER@HOST:PORT/DATABASE")
	}
	if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' && strings.Contains(rest[:at], ":") {
		return nil, errors.New("it holds a password; give that by file or environment")
	}
	if _, behind, _ := strings.Cut(rest, "/"); strings.Contains(behind, "@") {
		return nil, errNotUnderstood // half a password may be what follows
	}
	_, query, _ := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the part behind its question mark cannot be read")
	}
	for name := range given {
		if !slices.Contains(parameters(), name) {
			return nil, fmt.Errorf("it has the parameter %.40q; known are %s", name, strings.Join(parameters(), ", "))
		}
	}
	add := func(name, value string) {
		separator := "&"
		if !strings.Contains(address, "?") {
			separator = "?"
		}
		address += separator + name + "=" + url.PathEscape(value)
	}
	if caFile != "" {
		if given.Has("sslrootcert") {
			return nil, errors.New("it has sslrootcert, and a certificate authority is given beside it")
		}
		add("sslrootcert", caFile)
	}
	if !given.Has("application_name") {
		add("application_name", "tegata")
	}
	config, err := parseConnection(address)
	if err != nil {
		return nil, err
	}
	if !given.Has("sslmode") && os.Getenv("PGSSLMODE") == "" && leavesTheMachine(config) {
		// Not libpq's default, which falls back to no encryption at all.
		add("sslmode", "verify-full")
		return parseConnection(address)
	}
	return config, nil
}

func parseConnection(address string) (*pgx.ConnConfig, error) {
	options := pgx.ParseConfigOptions{ParseConfigOptions: pgconn.ParseConfigOptions{
		ConnStringAllowedKeys: append(parameters(), "user", "database"),
	}}
	config, err := pgx.ParseConfigWithOptions(address, options)
	if failure, ok := errors.AsType[*os.PathError](err); ok {
		return nil, failure // a certificate or key that cannot be read
	}
	if err != nil {
		return nil, errNotUnderstood
	}
	return config, nil
}

var errNotUnderstood = errors.New("it is not understood; it must be postgres://USER@HOST:PORT/DATABASE, with the parameters of libpq")

func leavesTheMachine(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, other := range c.Fallbacks {
		hosts = append(hosts, other.Host)
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		ip := net.ParseIP(host)
		return !strings.HasPrefix(host, "/") && host != "localhost" && (ip == nil || !ip.IsLoopback())
	})
}

// cancelDelay is how long a server that was asked to stop a statement may take
// before its connection is given up.
const cancelDelay = 250 * time.Millisecond

// connection is what the driver needs.
func (p Postgres) connection() (*pgx.ConnConfig, error) {
	config, err := parsePostgresURL(p.URL, p.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the PostgreSQL URL: %w", err)
	}
	if password := p.Password.Reveal(); password != "" {
		config.Password = password
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > p.Timeout {
		config.ConnectTimeout = p.Timeout
	}
	// A caller who goes away does not cost a connection: the server is asked
	// to stop, and the next caller finds the connection in its place.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelDelay}
	}
	return config, nil
}
