// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/tegata/tegata/internal/secret"
)

// Change is one change to an entry, for [Check] and [Update].
type Change struct {
	section section
	name    string
	isNew   bool // the entry need not be there yet
	apply   func(e *editor, item *node) error
}

// SetExec makes a user run a credential plugin. The user may be a new one.
// What else is in the section exec, such as env, stays.
func SetExec(name string, exec Exec) Change {
	return Change{users, name, true, func(e *editor, item *node) error {
		return e.setWithin(item, []string{"user", "exec"}, exec.pairs())
	}}
}

func (exec Exec) pairs() []pair {
	var args []*node
	for _, arg := range exec.Args {
		args = append(args, scalarOf(arg))
	}
	pairs := []pair{
		{"apiVersion", scalarOf(exec.APIVersion)},
		{"command", scalarOf(exec.Command)},
		{"args", sequenceOf(args...)},
	}
	if exec.InteractiveMode != "" {
		pairs = append(pairs, pair{"interactiveMode", scalarOf(exec.InteractiveMode)})
	}
	if exec.InstallHint != "" {
		pairs = append(pairs, pair{"installHint", scalarOf(exec.InstallHint)})
	}
	return pairs
}

// SetAuthProvider sets keys in the configuration of a user's auth-provider,
// which must be there.
func SetAuthProvider(name string, values map[string]secret.String) Change {
	return Change{users, name, false, func(e *editor, item *node) error {
		if item.get("user").get("auth-provider").isNull() {
			return fmt.Errorf("the user %q in %s has no auth-provider", name, e.path)
		}
		return e.setWithin(item, []string{"user", "auth-provider", "config"}, revealed(values))
	}}
}

func revealed(values map[string]secret.String) (pairs []pair) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, pair{key, scalarOf(values[key].Reveal())})
	}
	return pairs
}

// SetContextUser makes a context, which must be there, use another user.
func SetContextUser(name, user string) Change {
	return Change{contexts, name, false, func(e *editor, item *node) error {
		return e.setWithin(item, []string{"context"}, []pair{{"user", scalarOf(user)}})
	}}
}

// setWithin sets pairs in the mapping that lies below m on a path of keys. What
// is missing of the path is made.
func (e *editor) setWithin(m *node, path []string, pairs []pair) error {
	if m.kind != mapping {
		return e.misplaced(m, path[0])
	}
	for i, key := range path {
		next, err := e.within(m, key, mapping)
		if err != nil {
			return err
		}
		if next == nil {
			value := mappingOf(pairs...)
			for _, outer := range slices.Backward(path[i+1:]) {
				value = mappingOf(pair{outer, value})
			}
			return e.set(m, pair{key, value})
		}
		m = next
	}
	return e.set(m, pairs...)
}

// make applies the change to a document.
func (c Change) make(e *editor) error {
	if item := e.item(c.section, c.name); item != nil {
		return c.apply(e, item)
	}
	if !c.isNew {
		return fmt.Errorf("there is no %s %q in %s", c.section.body, c.name, e.path)
	}
	// An item of its own, made by the same steps on an empty one.
	item := mappingOf(pair{"name", scalarOf(c.name)})
	if err := c.apply(&editor{document: &document{}}, item); err != nil {
		return err
	}
	if e.root.isNull() {
		e.setRoot(pair{c.section.list, sequenceOf(item)})
		return nil
	}
	list, err := e.within(e.root, c.section.list, sequence)
	switch {
	case err != nil:
		return err
	case list == nil || len(list.items) == 0 && !e.root.flow:
		return e.set(e.root, pair{c.section.list, sequenceOf(item)})
	}
	e.push(list, item)
	return nil
}

// Written is a file that was changed.
type Written struct {
	Path    string
	Created bool

	// Narrowed is the mode that the file had, if others could read the
	// credentials in it; it is 0600 now.
	Narrowed fs.FileMode
}

// Check reports whether [Update] would succeed now: whether the changes can be
// made, the files locked, and replaced. It changes no file.
func Check(ctx context.Context, paths []string, changes ...Change) error {
	plans, unlock, err := prepare(ctx, paths, changes)
	if err != nil {
		return err
	}
	defer unlock()
	for _, p := range plans {
		if err := p.probe(); err != nil {
			return err
		}
	}
	return nil
}

// Update makes changes in the files of paths: an entry is changed where it
// stands, and a new one goes where kubectl would put it. Whoever else keeps to
// the lock of client-go is waited for. When it returns nil all is on disk.
func Update(ctx context.Context, paths []string, changes ...Change) ([]Written, error) {
	plans, unlock, err := prepare(ctx, paths, changes)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// One file after the other; what was written stays written.
	var written []Written
	for _, p := range plans {
		if p.text == p.before && p.info != nil {
			continue
		}
		w, err := p.write()
		if err != nil {
			return written, err
		}
		written = append(written, w)
	}
	return written, nil
}

// prepare locks the files that change and says what they will hold.
func prepare(ctx context.Context, paths []string, changes []Change) (plans []*replacement, unlock func(), err error) {
	if plans, err = plan(paths, changes); err != nil {
		return nil, nil, err
	}
	var locked []string
	for _, p := range plans {
		locked = append(locked, p.path)
	}
	if unlock, err = lock(ctx, locked); err != nil {
		return nil, nil, err
	}
	// The same again: from now on nobody changes them.
	plans, err = plan(paths, changes)
	for _, p := range plans {
		if !slices.Contains(locked, p.path) {
			err = changed(p.path)
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return plans, unlock, nil
}

// plan says for each file that changes what it will hold. Each change is made
// to what the one before it left.
func plan(paths []string, changes []Change) ([]*replacement, error) {
	if len(paths) == 0 {
		return nil, errors.New("there is no place for a kubeconfig: no home directory, and no KUBECONFIG")
	}
	var plans []*replacement
	for _, change := range changes {
		path, err := change.file(paths)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(plans, func(p *replacement) bool { return p.path == path })
		if i < 0 {
			p, err := open(path)
			if err != nil {
				return nil, err
			}
			i, plans = len(plans), append(plans, p)
		}
		p := plans[i]
		d, err := parse(path, p.text)
		if err != nil {
			return nil, err
		}
		e := newEditor(d)
		if err := change.make(e); err != nil {
			return nil, err
		}
		if p.text, err = e.result(); err != nil {
			return nil, err
		}
		p.private = d.holdsCredentials()
	}
	return plans, nil
}

// file is the one that a change goes to: the first that has the entry, else
// the first that exists, else the last of the list.
func (c Change) file(paths []string) (string, error) {
	config, err := Load(paths)
	if err != nil {
		return "", err
	}
	for _, d := range config.documents {
		if d.item(c.section, c.name) != nil {
			return d.path, nil
		}
	}
	if !c.isNew {
		return "", fmt.Errorf("there is no %s %q in the kubeconfig", c.section.body, c.name)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return paths[len(paths)-1], nil
}

// holdsCredentials reports whether somebody who reads the document can pass
// for one of its users.
func (d *document) holdsCredentials() bool {
	for _, item := range d.root.get(users.list).list() {
		body := item.get("user")
		settings := body.get("auth-provider").get("config")
		for _, n := range []*node{
			body.get("token"), body.get("password"), body.get("client-key-data"),
			settings.get("id-token"), settings.get("refresh-token"), settings.get("access-token"), settings.get("client-secret"),
		} {
			if n.value() != "" {
				return true
			}
		}
	}
	return false
}
