// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// committer is the one writer of the process. Writes that arrive while a
// commit is being synchronized wait for the next one together, so a disk that
// synchronizes 200 times a second still takes thousands of writes.
//
// Each write runs inside a savepoint: if it fails, it alone is rolled back.
type committer struct {
	db   *sql.DB
	conn *sql.Conn // used by the goroutine of run alone, as is tx
	tx   *tx
	jobs chan *job
	quit chan struct{} // closed by stop
	done chan struct{} // closed when run has returned

	stopping sync.Once

	mu      sync.Mutex // guards the field below
	failure error      // of the last commit
}

type job struct {
	// refused is why do failed. It is told after the commit like a success:
	// what do ran into may have been written by a neighbor in the same
	// transaction, and whoever hears of it must be able to read it.
	refused error

	ctx    context.Context
	do     func(*tx) error
	result chan error // has room for one, so that run never waits
}

// maxBatch bounds how long a commit can be put off by those who come after.
const maxBatch = 256

var errClosed = errors.New("the database is closed")

func startCommitter(ctx context.Context, db *sql.DB) (*committer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &committer{
		db: db, conn: conn,
		tx:   &tx{ctx: context.Background(), querier: &prepared{preparer: conn}},
		jobs: make(chan *job, maxBatch), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// write hands do to the writer and waits for its commit, or for ctx to end.
func (c *committer) write(ctx context.Context, do func(*tx) error) error {
	j := &job{ctx: ctx, do: do, result: make(chan error, 1)}
	select {
	case c.jobs <- j:
	case <-c.quit:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.result:
		return err
	case <-c.done:
		select {
		case err := <-j.result: // it was the last one
			return err
		default:
			return errClosed
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop waits for the writes that were accepted and takes the journal back
// into the database file, so that a copy of the one file is whole.
func (c *committer) stop() error {
	c.stopping.Do(func() { close(c.quit) })
	<-c.done
	// Another process may be in the way; then it is for that one to do.
	_ = c.tx.exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(c.conn.Close(), c.db.Close())
}

func (c *committer) run() {
	defer close(c.done)
	for {
		select {
		case first := <-c.jobs:
			c.commit(first)
		case <-c.quit:
			for next := c.waiting(); next != nil; next = c.waiting() {
				c.commit(next) // what was accepted is still done
			}
			return
		}
	}
}

// waiting returns a job that waits, or nil.
func (c *committer) waiting() *job {
	select {
	case next := <-c.jobs:
		return next
	default:
		return nil
	}
}

// commit runs the first job and those that wait behind it in one transaction
// and tells each how it ended.
func (c *committer) commit(first *job) {
	if err := c.tx.exec(`BEGIN IMMEDIATE`); err != nil {
		// Whoever waited behind it has waited as long: they hear the same,
		// rather than one busy timeout each.
		c.answer(append(c.queue(), first), err)
		return
	}
	var done []*job
	for next := first; next != nil; next = c.waiting() {
		intact, err := c.attempt(next)
		if !intact {
			// The transaction is gone, with all that was done in it.
			_ = c.tx.exec(`ROLLBACK`)
			c.answer(append(done, next), err)
			return
		}
		next.refused = err
		if done = append(done, next); len(done) == maxBatch {
			break
		}
	}
	err := c.tx.exec(`COMMIT`)
	if err != nil {
		// The transaction may be over already; that is no second failure.
		_ = c.tx.exec(`ROLLBACK`)
	}
	c.answer(done, err)
}

// queue returns the jobs that wait at this moment.
func (c *committer) queue() []*job {
	var jobs []*job
	for range len(c.jobs) {
		if next := c.waiting(); next != nil {
			jobs = append(jobs, next)
		}
	}
	return jobs
}

// answer tells the jobs how their commit ended, and remembers it.
func (c *committer) answer(jobs []*job, err error) {
	c.mu.Lock()
	c.failure = err
	c.mu.Unlock()
	for _, j := range jobs {
		if err == nil {
			j.result <- j.refused
		} else {
			j.result <- err
		}
	}
}

// lastFailure is why the last commit failed, or nil if it did not.
func (c *committer) lastFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// attempt runs one job inside a savepoint. intact is false if the transaction
// around it is lost: SQLite rolls all of it back when a disk is full.
func (c *committer) attempt(j *job) (intact bool, err error) {
	if err := j.ctx.Err(); err != nil {
		return true, err
	}
	if err := c.tx.exec(`SAVEPOINT job`); err != nil {
		return false, err
	}
	if err := j.do(c.tx); err != nil {
		if undo := c.tx.exec(`ROLLBACK TO job`); undo != nil {
			return false, err
		}
		return c.tx.exec(`RELEASE job`) == nil, err
	}
	err = c.tx.exec(`RELEASE job`)
	return err == nil, err
}
