// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
)

// Acts are all that an event can be about, as a list offers them.
func Acts() []Act {
	return []Act{
		LoggedIn, LoginRefused, LoggedOut, FactorProven, FactorAdded, FactorRemoved, PasswordChanged, Locked,
		Granted, Denied, GrantEnd, Issued, Refused, Replayed, Revoked, Administered,
	}
}

// Filter says which events are meant: those to which all that is set applies.
type Filter struct {
	Issuer oidc.Issuer
	OrNone bool // of no issuer will do too: what concerns the whole server
	Act    Act
	Person string // the subject, or who administers
	Client oidc.ClientID
}

func (f Filter) means(e Event) bool {
	return (f.Issuer == "" || e.Issuer == f.Issuer || f.OrNone && e.Issuer == "") &&
		(f.Act == "" || e.Act == f.Act) &&
		(f.Person == "" || string(e.Subject) == f.Person || e.Actor == f.Person) &&
		(f.Client == "" || e.Client == f.Client)
}

// Files are where [Lines] writes, read backwards: the file at Path and, if
// there is one, Path.1, which is what programs that rotate files call the one
// before. A file that is being written can be read.
type Files struct {
	Path string
	// Budget is the most that is read for one answer, in bytes, so that
	// nobody keeps a server busy. Zero means four MiB.
	Budget int64
}

// Found is a part of the trail.
type Found struct {
	Events     []Event // the newest first
	Next       string  // where the trail goes on; empty: it ends here
	Unreadable int     // lines that are no events
	Exhausted  bool    // the budget was used up before there were enough events
}

// ErrPlace means that the trail does not go on there: it is no place that
// Read returned, or its file is gone.
var ErrPlace = errors.New("the audit trail does not go on there")

// ErrNoFile means that the trail goes to a pipe or a device, which nobody can
// read backwards.
var ErrNoFile = errors.New("the audit trail does not go to a regular file")

const (
	defaultBudget = 4 << 20
	chunk         = 64 << 10
	maxLine       = 64 << 10 // a longer one is no event of ours
	headLength    = 512      // as much of a file as tells it from another
)

// Read returns at most limit events that the filter means, from the newest
// on, or from the place that an answer before gave as Next.
func (f Files) Read(ctx context.Context, filter Filter, after string, limit int) (Found, error) {
	budget := f.Budget
	if budget == 0 {
		budget = defaultBudget
	}
	files, err := f.open()
	if err != nil {
		return Found{}, err
	}
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	if files, err = startAt(files, after); err != nil {
		return Found{}, err
	}
	found := Found{Events: []Event{}}
	for n, file := range files {
		lines := backwards{file: file, end: file.end, budget: &budget}
		for {
			if err := ctx.Err(); err != nil {
				return Found{}, err
			}
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, errBudget) {
				found.Exhausted, found.Next = true, file.place(lines.end)
				return found, nil
			}
			if err != nil {
				return Found{}, fmt.Errorf("reading the audit file: %w", err)
			}
			var event Event
			if line == nil || json.Unmarshal(line, &event) != nil || event.Act == "" || event.Time.IsZero() {
				found.Unreadable++
				continue
			}
			if !filter.means(event) {
				continue
			}
			found.Events = append(found.Events, event)
			if len(found.Events) == limit && (lines.end > 0 || n < len(files)-1) {
				found.Next = file.place(lines.end)
				return found, nil
			}
		}
	}
	return found, nil
}

// trailFile is one of the files, as far as it was written when it was opened.
type trailFile struct {
	*os.File
	head string // tells it from others, whatever it is called
	end  int64
}

// open opens the newer file, then the older one. One that is not there, or in
// which nothing stands, is left out.
func (f Files) open() (files []trailFile, err error) {
	for _, path := range []string{f.Path, f.Path + ".1"} {
		opened, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && opened.end > 0 {
			files = append(files, opened)
			continue
		}
		if opened.File != nil {
			opened.Close()
		}
		if err != nil {
			for _, other := range files {
				other.Close()
			}
			return nil, fmt.Errorf("opening the audit file: %w", err)
		}
	}
	if len(files) == 2 && files[0].head == files[1].head { // it was renamed between the two
		files[1].Close()
		files = files[:1]
	}
	return files, nil
}

// openRegular opens a file and finds out its length and its head: the
// beginning of its first line, which has a time. To open a pipe would wait for
// somebody who writes.
func openRegular(path string) (trailFile, error) {
	if info, err := os.Stat(path); err != nil {
		return trailFile{}, err
	} else if !info.Mode().IsRegular() {
		return trailFile{}, ErrNoFile
	}
	file, err := os.Open(path)
	if err != nil {
		return trailFile{}, err
	}
	opened := trailFile{File: file}
	info, err := file.Stat()
	if err != nil {
		return opened, err
	}
	head := make([]byte, min(headLength, info.Size()))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return opened, err
	}
	if at := bytes.IndexByte(head, '\n'); at >= 0 {
		head = head[:at]
	}
	sum := sha256.Sum256(head)
	opened.head, opened.end = hex.EncodeToString(sum[:6]), info.Size()
	return opened, nil
}

// place is where Read can go on.
func (f trailFile) place(end int64) string { return f.head + "-" + strconv.FormatInt(end, 10) }

// startAt leaves out what is newer than a place.
func startAt(files []trailFile, place string) ([]trailFile, error) {
	if place == "" {
		return files, nil
	}
	head, offset, _ := strings.Cut(place, "-")
	end, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || end < 0 {
		return nil, ErrPlace
	}
	for n, file := range files {
		if file.head == head && end <= file.end {
			rest := append([]trailFile{file}, files[n+1:]...)
			rest[0].end = end
			return rest, nil
		}
	}
	return nil, ErrPlace
}

var errBudget = errors.New("enough was read")

// backwards hands out the lines of a file from the last to the first, a piece
// of the file at a time.
type backwards struct {
	file   trailFile
	end    int64  // everything from here on was handed out
	held   []byte // what was read of the file before end
	budget *int64
}

// next returns the line before end without its line break; nil for one that is
// too long. It returns io.EOF at the beginning of the file.
func (b *backwards) next() ([]byte, error) {
	if b.end == 0 {
		return nil, io.EOF
	}
	tooLong := false
	for {
		// The line break at the very end belongs to the line.
		search := b.held
		if n := len(search); n > 0 && search[n-1] == '\n' {
			search = search[:n-1]
		}
		if at := bytes.LastIndexByte(search, '\n'); at >= 0 {
			return b.take(at+1, tooLong), nil
		}
		start := b.end - int64(len(b.held))
		if start == 0 {
			return b.take(0, tooLong), nil
		}
		if len(b.held) > maxLine {
			// Forget what it says, and go on looking for its beginning.
			b.end, b.held, tooLong = start, nil, true
		}
		if *b.budget <= 0 {
			return nil, errBudget
		}
		size := min(chunk, start)
		piece := make([]byte, size, int(size)+len(b.held))
		if _, err := b.file.ReadAt(piece, start-size); err != nil {
			return nil, err
		}
		*b.budget -= size
		if tooLong && piece[size-1] == '\n' {
			// The long line begins here; the break is that of the one before.
			b.held = piece
			return nil, nil
		}
		b.held = append(piece, b.held...)
	}
}

func (b *backwards) take(from int, tooLong bool) []byte {
	line := b.held[from:]
	b.end -= int64(len(line))
	b.held = b.held[:from]
	line = bytes.TrimSuffix(line, []byte("\n"))
	if tooLong || len(line) > maxLine {
		return nil
	}
	if len(line) == 0 {
		return []byte{}
	}
	return line
}
