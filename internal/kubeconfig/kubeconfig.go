// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package kubeconfig reads kubeconfigs as kubectl merges them, and changes
// single entries of them without touching anything else.
//
//	kubeconfig.go  which files there are, and what their entries say
//	document.go    one file: its tokens, and where each of them stands
//	reader.go      what they say together
//	edit.go        changes, cut into the text of a file
//	scalar.go      words as YAML and JSON write them
//	new.go         a file that does not exist yet
//	update.go      which file takes a change, and how it gets there
//	write.go       the lock, the mode, the replacement in one step
//
// A kubeconfig is written by hand, by kubectl, by a dozen cloud tools, as YAML
// or as JSON. Nobody here writes such a file anew: a change is cut into the
// text, the result is read again, and it must say what the file said before
// but for that change. Otherwise nothing is written. Comments, order, quotes,
// line ends and everything that this package has no name for stay as they are.
//
// What cannot be changed without a guess is refused: anchors and aliases,
// tags, several documents in one file, a key or a name that stands twice.
//
// It is for the plugin, for kubectl-tegata, and for the provider's portal, which
// hands out new ones. It opens no connection, and it
// knows of credentials only where they stand.
package kubeconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tegata/tegata/internal/secret"
)

// Paths are the files that kubectl reads: the one that a flag names, else
// those of the variable KUBECONFIG, else the usual one below the home
// directory. There are none without a home.
func Paths(flag, variable, home string) []string {
	if flag != "" {
		return []string{flag}
	}
	var paths []string
	for _, path := range filepath.SplitList(variable) {
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if paths == nil && home != "" {
		paths = []string{filepath.Join(home, ".kube", "config")}
	}
	return paths
}

// Config is what several files say together. An entry that stands in more
// than one of them is the first one's.
type Config struct {
	// Paths are the files that exist.
	Paths []string

	documents []*document // of Paths
}

// Load reads the files. One that does not exist says nothing, as for kubectl.
func Load(paths []string) (*Config, error) {
	c := &Config{}
	for _, path := range paths {
		text, _, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		d, err := parse(path, text)
		if err != nil {
			return nil, err
		}
		c.Paths = append(c.Paths, path)
		c.documents = append(c.documents, d)
	}
	return c, nil
}

// CurrentContext is the name of the context that kubectl uses; empty if there
// is none.
func (c *Config) CurrentContext() string {
	for _, d := range c.documents {
		if name := d.root.get("current-context").value(); name != "" {
			return name
		}
	}
	return ""
}

// Cluster is where an API server is.
type Cluster struct {
	Name          string
	Server        string
	AuthorityData string // base64 of PEM; empty: the system's authorities, or a file
	Path          string // the file in which it stands
}

// Cluster returns the cluster of that name.
func (c *Config) Cluster(name string) (Cluster, bool) {
	for _, d := range c.documents {
		if item := d.item(clusters, name); item != nil {
			body := item.get("cluster")
			return Cluster{Name: name, Server: body.get("server").value(), AuthorityData: body.get("certificate-authority-data").value(), Path: d.path}, true
		}
	}
	return Cluster{}, false
}

// Context says which user works on which cluster.
type Context struct {
	Name      string
	Cluster   string
	User      string
	Namespace string // may be empty
	Path      string // the file in which it stands
}

// Context returns the context of that name.
func (c *Config) Context(name string) (Context, bool) {
	for _, d := range c.documents {
		if item := d.item(contexts, name); item != nil {
			body := item.get("context")
			return Context{
				Name: name, Cluster: body.get("cluster").value(), User: body.get("user").value(),
				Namespace: body.get("namespace").value(), Path: d.path,
			}, true
		}
	}
	return Context{}, false
}

// Contexts are the names of all contexts.
func (c *Config) Contexts() []string { return c.names(contexts) }

// Users are the names of all users.
func (c *Config) Users() []string { return c.names(users) }

func (c *Config) names(s section) []string {
	var names []string
	for _, d := range c.documents {
		for _, item := range d.root.get(s.list).list() {
			if name := item.get("name").value(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// User is how somebody shows the API server who they are.
type User struct {
	Name string
	Path string // the file in which it stands

	AuthProvider *AuthProvider // the older form; nil if there is none
	Exec         *Exec         // a credential plugin; nil if there is none

	// Others are the other keys of the user, such as token or
	// client-certificate-data.
	Others []string
}

// AuthProvider is the section auth-provider of a user. Its configuration may
// hold tokens and a client's secret.
type AuthProvider struct {
	Name   string
	Config map[string]secret.String
}

// Exec is the section exec of a user: what kubectl runs for a credential.
type Exec struct {
	APIVersion      string   `json:"apiVersion"`
	Command         string   `json:"command"`
	Args            []string `json:"args"`
	InteractiveMode string   `json:"interactiveMode,omitempty"`
	InstallHint     string   `json:"installHint,omitempty"` // what kubectl says if there is no such command
}

// User returns the user of that name.
func (c *Config) User(name string) (User, bool) {
	for _, d := range c.documents {
		if item := d.item(users, name); item != nil {
			return user(name, d.path, item.get("user")), true
		}
	}
	return User{}, false
}

func user(name, path string, body *node) User {
	u := User{Name: name, Path: path}
	for _, e := range body.fields() {
		switch {
		case e.value.isNull():
		case e.key.text == "exec":
			u.Exec = &Exec{
				APIVersion:      e.value.get("apiVersion").value(),
				Command:         e.value.get("command").value(),
				InteractiveMode: e.value.get("interactiveMode").value(),
				InstallHint:     e.value.get("installHint").value(),
			}
			for _, arg := range e.value.get("args").list() {
				u.Exec.Args = append(u.Exec.Args, arg.value())
			}
		case e.key.text == "auth-provider":
			u.AuthProvider = &AuthProvider{Name: e.value.get("name").value(), Config: map[string]secret.String{}}
			for _, setting := range e.value.get("config").fields() {
				u.AuthProvider.Config[setting.key.text] = secret.New(setting.value.value())
			}
		default:
			u.Others = append(u.Others, e.key.text)
		}
	}
	return u
}

// maxSize is far above any kubeconfig.
const maxSize = 4 << 20

// read returns the text of a file, and what the system says of it.
func read(path string) (string, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is no file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return "", nil, err
	}
	if len(text) > maxSize {
		return "", nil, fmt.Errorf("%s has more than %d bytes", path, maxSize)
	}
	return string(text), info, nil
}
