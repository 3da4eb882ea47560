// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/store"
)

// writeForEver is the child of TestKilledAtAnyMomentLosesNothingAnswered:
// eight writers that make grants and rotate their refresh tokens, and print
// each fact after it was answered: the grant and its generation.
func writeForEver(path string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	db, err := store.Open(ctx, store.Config{Path: path})
	fail(err)
	fail(db.AddIssuer(ctx, store.IssuerRecord{ID: "one", SealedSecret: "sealed"}, noon))
	i := db.Issuer("one")
	var printing sync.Mutex
	say := func(id string, generation int) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Println(id, generation) // one write to the pipe for each line
	}
	for range 8 {
		go func() {
			for {
				id := grant.NewID()
				fail(i.AddGrant(ctx, newGrant(id, "c", "s")))
				say(id, 0)
				fail(i.RedeemCode(ctx, id, noon))
				say(id, 1)
				for from := 1; from < 5; from++ {
					fail(i.RotateRefreshToken(ctx, id, from, noon))
					say(id, from+1)
				}
			}
		}()
	}
	select {}
}

func TestKilledAtAnyMomentLosesNothingAnswered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	answered := map[string]int{}
	for range 10 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), "STORE_TEST_WRITER="+path)
		out, err := command.StdoutPipe()
		check(t, err)
		command.Stderr = os.Stderr
		check(t, command.Start())
		chance, err := rand.Int(rand.Reader, big.NewInt(400))
		check(t, err)
		enough := int(chance.Int64()) + 1
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == enough {
				check(t, command.Process.Kill())
			}
			id, number, ok := strings.Cut(lines.Text(), " ")
			generation, err := strconv.Atoi(number)
			if !ok || err != nil || len(id) != 26 {
				if n > enough {
					break // a line that was cut off by the kill
				}
				t.Fatalf("the writer says %q", lines.Text())
			}
			answered[id] = max(answered[id], generation)
		}
		_ = command.Wait() // it was killed
	}
	db := open(t, path)
	for id, generation := range answered {
		g, err := db.Issuer("one").Grant(t.Context(), id)
		if err != nil || g.Generation < generation {
			t.Errorf("grant %s: got generation %d, %v; %d was answered", id, g.Generation, err, generation)
		}
	}
	check(t, db.Close())
	wantIntegrity(t, path)
	if len(answered) < 10 {
		t.Errorf("only %d grants were written before the kills", len(answered))
	}
}
