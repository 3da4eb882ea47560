// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
)

// Page is a part of a list.
type Page = identity.Page

// ErrPage means that Page.After was not returned by a list.
var ErrPage = identity.ErrPage

// query is a statement that grows with what was asked for. Values are always
// arguments, never text.
type query struct {
	text string
	args []any
}

func (q *query) and(condition string, value any) {
	q.args = append(q.args, value)
	q.text += ` AND ` + condition + `$` + strconv.Itoa(len(q.args))
}

// page orders by a time and the ID, the newest first, and takes one row more
// than the limit, which tells whether there are more.
func (q *query) page(column string, page Page) error {
	if page.After != "" {
		at, id, _ := strings.Cut(page.After, ".")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil || id == "" {
			return ErrPage
		}
		q.args = append(q.args, ms, id)
		q.text += ` AND (` + column + `, id) < ($` + strconv.Itoa(len(q.args)-1) + `, $` + strconv.Itoa(len(q.args)) + `)`
	}
	q.text += ` ORDER BY ` + column + ` DESC, id DESC`
	if page.Limit > 0 {
		q.args = append(q.args, page.Limit+1)
		q.text += ` LIMIT $` + strconv.Itoa(len(q.args))
	}
	return nil
}

// cursor is where a list goes on after a row.
func cursor(at time.Time, id string) string { return strconv.FormatInt(millis(at), 10) + "." + id }
