// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// wire stands between the store and a server, and breaks a connection at the
// message that a test names.
type wire struct {
	listener net.Listener
	server   string
	open     sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	word  string     // in the message that breaks the connection; empty: none
	after bool       // the server still gets that message
	times int        // how often
	cuts  int
}

func newWire(t *testing.T, server *postgres.Server) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, server: fmt.Sprint("127.0.0.1:", server.Port)}
	w.open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.open.Go(func() { w.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		w.open.Wait()
	})
	return w
}

// through leads a URL of the server through the wire.
func (w *wire) through(url string) string {
	return strings.Replace(url, w.server, w.listener.Addr().String(), 1)
}

// cut breaks the next connections, so many, whose client says the word.
func (w *wire) cut(word string, after bool, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.word, w.after, w.times, w.cuts = word, after, times, 0
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

// breaks reports whether this message breaks its connection.
func (w *wire) breaks(message []byte) (yes, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times == 0 || !strings.Contains(string(message), w.word) {
		return false, false
	}
	w.times--
	w.cuts++
	return true, w.after
}

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	conn, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	w.open.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	// The first message has a length alone, the others a letter before it
	// (PostgreSQL manual, chapter "Message Formats").
	for header := 4; ; header = 5 {
		message := make([]byte, header)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(message[header-4:])-4)
		if _, err := io.ReadFull(client, rest); err != nil {
			return
		}
		message = append(message, rest...)
		breaks, after := w.breaks(message)
		if breaks && !after {
			return
		}
		if breaks { // before the server can answer
			client.Close()
		}
		if _, err := server.Write(message); err != nil {
			return
		}
		if breaks {
			// The client hears nothing more; the server carries it out.
			_ = server.CloseWrite()
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}

// A connection that breaks before a commit was sent costs the caller nothing:
// the write is made again, once.
func TestConnectionThatBreaksBeforeTheCommit(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "&default_query_exec_mode=simple_protocol"} {
		for _, word := range []string{"BEGIN", "needle", "before"} {
			for _, after := range []bool{false, true} {
				w := newWire(t, shared)
				db := open(t, store.Postgres{URL: w.through(shared.Schema(t)) + mode, MaxConnections: 2})
				i := storetest.AddIssuer(t, db, "one")
				storetest.Check(t, i.AddGrant(t.Context(), storetest.Grant("before", "c", "s"))) // the pool is warm
				storetest.Check(t, i.RedeemCode(t.Context(), "before", storetest.Noon))
				w.cut(word, after, 3)
				what := fmt.Sprintf("%q cut, after=%t, %s", word, after, mode)
				if err := i.AddGrant(t.Context(), storetest.Grant("needle", "c", "s")); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if err := i.RotateRefreshToken(t.Context(), "before", 1, storetest.Noon); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if g, err := i.Grant(t.Context(), "before"); err != nil || g.Generation != 2 {
					t.Errorf("%s: generation %d, %v; want 2", what, g.Generation, err)
				}
				if _, err := i.Grant(t.Context(), "needle"); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if w.count() == 0 {
					t.Errorf("%s: nothing was cut", what)
				}
			}
		}
	}
}

// A connection that breaks during a commit leaves the outcome open. That is
// what the caller hears, whichever it was, and never that all is well.
func TestConnectionThatBreaksDuringTheCommit(t *testing.T) {
	t.Parallel()
	w := newWire(t, shared)
	db := open(t, store.Postgres{URL: w.through(shared.Schema(t)), MaxConnections: 2})
	i := storetest.AddIssuer(t, db, "one")
	for _, committed := range []bool{false, true} {
		id := fmt.Sprint("g", committed)
		w.cut("COMMIT\x00", committed, 1)
		err := i.AddGrant(t.Context(), storetest.Grant(id, "c", "s"))
		failure, ok := errors.AsType[*store.UnavailableError](err)
		if !ok || !failure.Temporary() || !failure.Unknown() {
			t.Errorf("commit arrived: %t: got %v, want an UnavailableError whose outcome is unknown", committed, err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if committed { // the server is on its own with it, and takes its time
			for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				_, err = i.Grant(t.Context(), id)
			}
		}
		_, err = i.Grant(t.Context(), id)
		if want := map[bool]error{false: grant.ErrNotFound, true: nil}[committed]; !errors.Is(err, want) {
			t.Errorf("commit arrived: %t: then %v, want %v", committed, err, want)
		}
		// Who asks again gets on, as far as what it asks for allows it.
		err = i.AddGrant(t.Context(), storetest.Grant(id, "c", "s"))
		if (err == nil) == committed {
			t.Errorf("commit arrived: %t: the second time: %v", committed, err)
		}
	}
}
