// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

// New is a kubeconfig that does not exist yet.
type New struct {
	Clusters []Cluster
	Users    []User // with Exec or AuthProvider, and nothing else
	Contexts []Context
	Current  string // the context that kubectl uses
}

// Text is the file. If a user has an AuthProvider, there are secrets in it.
// An error means that a value cannot be written so that each parser reads it
// alike.
func (n New) Text() (string, error) {
	var clusterList, userList, contextList []*node
	for _, c := range n.Clusters {
		clusterList = append(clusterList, clusters.named(c.Name, c.pairs()))
	}
	for _, u := range n.Users {
		userList = append(userList, users.named(u.Name, u.pairs()))
	}
	for _, c := range n.Contexts {
		contextList = append(contextList, contexts.named(c.Name, c.pairs()))
	}
	e := newEditor(&document{path: "the new kubeconfig"})
	e.setRoot(
		pair{clusters.list, sequenceOf(clusterList...)},
		pair{users.list, sequenceOf(userList...)},
		pair{contexts.list, sequenceOf(contextList...)},
		pair{"current-context", scalarOf(n.Current)},
	)
	return e.result()
}

// named is an item of the section.
func (s section) named(name string, pairs []pair) *node {
	return mappingOf(pair{"name", scalarOf(name)}, pair{s.body, mappingOf(pairs...)})
}

func (c Cluster) pairs() []pair {
	pairs := []pair{{"server", scalarOf(c.Server)}}
	if c.AuthorityData != "" {
		pairs = append(pairs, pair{"certificate-authority-data", scalarOf(c.AuthorityData)})
	}
	return pairs
}

func (u User) pairs() (pairs []pair) {
	if u.Exec != nil {
		pairs = append(pairs, pair{"exec", mappingOf(u.Exec.pairs()...)})
	}
	if u.AuthProvider != nil {
		pairs = append(pairs, pair{"auth-provider", mappingOf(
			pair{"name", scalarOf(u.AuthProvider.Name)}, pair{"config", mappingOf(revealed(u.AuthProvider.Config)...)},
		)})
	}
	return pairs
}

func (c Context) pairs() []pair {
	pairs := []pair{{"cluster", scalarOf(c.Cluster)}, {"user", scalarOf(c.User)}}
	if c.Namespace != "" {
		pairs = append(pairs, pair{"namespace", scalarOf(c.Namespace)})
	}
	return pairs
}
