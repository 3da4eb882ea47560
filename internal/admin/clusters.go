// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/portal"
)

// declaredCluster is a cluster that the portal offers.
type declaredCluster struct {
	Name           string   `yaml:"name"`
	Title          string   `yaml:"title"`
	Server         string   `yaml:"server"`
	CA             string   `yaml:"ca"`
	Client         string   `yaml:"client"`
	Namespace      string   `yaml:"namespace"`
	Groups         []string `yaml:"groups"`
	UsernameClaim  string   `yaml:"username_claim"`
	UsernamePrefix string   `yaml:"username_prefix"`
	GroupsPrefix   string   `yaml:"groups_prefix"`
}

// clusterFiles are the files that the section names, and issuer_ca.
func (c *config) clusterFiles() []*string {
	files := []*string{&c.IssuerCA}
	for i := range c.Issuers {
		files = append(files, &c.Issuers[i].IssuerCA)
	}
	for _, issuer := range c.issuers() {
		for i := range issuer.Clusters { // shared with the configuration
			files = append(files, &issuer.Clusters[i].CA)
		}
	}
	return files
}

// checkClusters finds what is wrong without looking at anything but the file.
func (c IssuerConfig) checkClusters() error {
	names := map[string]bool{}
	for n, d := range c.Clusters {
		err := d.check()
		if err == nil && names[d.Name] {
			err = fmt.Errorf("cluster %q is given twice", d.Name)
		}
		if err == nil {
			err = c.checkClusterClient(d.Client)
		}
		if err != nil {
			return fmt.Errorf("clusters[%d]: %w", n, err)
		}
		names[d.Name] = true
	}
	return nil
}

func (d declaredCluster) check() error {
	switch {
	case !portal.IsLabel(d.Name):
		return fmt.Errorf("name %.80q is not of at most 63 small letters, digits and hyphens; it becomes the context in kubeconfigs", d.Name)
	case d.Client == "":
		return errors.New("client is missing: the ID of a client of this issuer, with which people log in to the cluster")
	case slices.Contains(d.Groups, ""):
		return errors.New("groups: a group cannot be empty")
	case strings.Contains(d.Title, "\n"):
		return errors.New("title is of one line")
	}
	if err := checkServerURL(d.Server); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if like := strings.ReplaceAll(d.Namespace, portal.Placeholder, "a"); d.Namespace != "" && !portal.IsLabel(like) {
		return fmt.Errorf("namespace %.80q is none, not even with a name for %s: it is of at most 63 small letters, digits and hyphens", d.Namespace, portal.Placeholder)
	}
	return nil
}

// checkServerURL tells why a text is not the URL of an API server, or returns
// nil. People paste it into shells, so it is plain.
func checkServerURL(server string) error {
	u, err := url.Parse(server)
	switch {
	case server == "":
		return errors.New("the URL of the API server is missing: https://HOST:PORT")
	case err != nil || u.Host == "" || strings.ContainsFunc(server, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`<>\\^{|}", r) }):
		return fmt.Errorf("%.80q is not https://HOST:PORT, with a path if there is one", server)
	case u.User != nil:
		return errors.New("there is a user name or a password in the URL, and everybody who sees the cluster would get it")
	case u.Scheme != "https":
		return fmt.Errorf("%.80q must begin with https://: tokens are sent there", server)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(server, "#"):
		return fmt.Errorf("%.80q must have no query and no fragment", server)
	}
	return nil
}

// checkClusterClient is about a client that stands in the file too. What else
// there is, the database knows.
func (c IssuerConfig) checkClusterClient(id string) error {
	for _, d := range c.Clients {
		if d.ID != id {
			continue
		}
		client, err := d.client()
		if err != nil {
			return nil //nolint:nilerr // it is told as the client's own
		}
		if !d.Public && d.Authentication == "" {
			client.SecretHash = pending
		}
		if err := portal.CheckClient(client); err != nil {
			return fmt.Errorf("client %q: %w", id, err)
		}
	}
	return nil
}

// undeclaredClients are those of the section that do not stand in the file,
// each with a sentence about it.
func (c IssuerConfig) undeclaredClients() []string {
	var declared []string
	for _, d := range c.Clients {
		declared = append(declared, d.ID)
	}
	var sentences []string
	for _, d := range c.Clusters {
		if slices.Contains(declared, d.Client) {
			continue
		}
		sentence := fmt.Sprintf("cluster %s: the client %q does not stand in the file; it works if it was added with tegata client add", d.Name, d.Client)
		if near := exit.Nearest(d.Client, declared); near != "" {
			sentence += fmt.Sprintf(" (did you mean %q?)", near)
		}
		sentences = append(sentences, sentence)
	}
	return sentences
}

// clusters are the clusters for the portal, with the files that they name
// read, and issuerCA, which is who signed the issuer's own certificate.
func (c IssuerConfig) clusters(now time.Time) (all []portal.Cluster, issuerCA []byte, err error) {
	if issuerCA, err = readCertificates(c.IssuerCA, now); err != nil {
		return nil, nil, exit.Misuse("", "issuer_ca: %w", err)
	}
	for _, d := range c.Clusters {
		authority, err := readCertificates(d.CA, now)
		if err != nil {
			return nil, nil, exit.Misuse("", "cluster %q: ca: %w", d.Name, err)
		}
		all = append(all, portal.Cluster{
			Name: d.Name, Title: cmp.Or(d.Title, d.Name), Server: d.Server, Authority: authority, Client: oidc.ClientID(d.Client),
			Namespace: d.Namespace, Groups: d.Groups,
			UsernameClaim: cmp.Or(d.UsernameClaim, "email"), UsernamePrefix: d.UsernamePrefix, GroupsPrefix: d.GroupsPrefix,
		})
	}
	return all, issuerCA, nil
}

// readCertificates reads certificates that kubeconfigs will carry to everybody:
// they, and nothing else that stands in the file, and of those the ones that
// still count. An empty path is none.
func readCertificates(path string, now time.Time) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates: %w", err)
	}
	var clean bytes.Buffer
	var expired error
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s; leave only certificates in it, which are handed out in kubeconfigs", path, block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if now.After(certificate.NotAfter) { // while authorities change, the old one stands beside the new
			expired = fmt.Errorf("%s: the certificate %s expired on %s", path, certificate.Subject, certificate.NotAfter.Format(time.DateOnly))
			continue
		}
		clean.WriteString(encodePEM("CERTIFICATE", block.Bytes))
	}
	if clean.Len() == 0 && expired != nil {
		return nil, expired
	}
	if clean.Len() == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return clean.Bytes(), nil
}

// sourceTitles are the sources as people know them, by name.
func sourceTitles(sources *identity.Sources) map[string]string {
	titles := map[string]string{}
	for _, member := range sources.Members {
		titles[member.Name] = member.Title
	}
	return titles
}

// clustersOf are the clusters of an issuer that is about to be served. Clients
// that were added at run time are looked at here: with none of them, one that
// does not stand in the file can only be a mistake.
func (s *site) clustersOf(ctx context.Context, c IssuerConfig, opened *issuer) (all []portal.Cluster, issuerCA []byte, err error) {
	all, issuerCA, err = c.clusters(s.env.Now())
	if issuerCA == nil {
		issuerCA = s.devCA
	}
	if err != nil || len(all) == 0 {
		return all, issuerCA, err
	}
	registered, err := opened.ClientList(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("listing the clients: %w", err)
	}
	atRunTime := slices.ContainsFunc(registered, func(one clientregistry.Client) bool { return !one.Declared })
	for _, cluster := range all {
		i := slices.IndexFunc(registered, func(one clientregistry.Client) bool { return one.ID == cluster.Client })
		switch {
		case i < 0 && !atRunTime && len(c.Clients) > 0:
			return nil, nil, exit.Misuse("clusters[].client names an entry of clients, or one that tegata client add has registered before",
				"cluster %q: there is no client %q", cluster.Name, cluster.Client)
		case i < 0:
			s.log.Warn("a cluster of the portal cannot be used: its client is not registered", "cluster", cluster.Name, "client", cluster.Client)
		default:
			if err := portal.CheckClient(registered[i]); err != nil {
				s.log.Warn("a cluster of the portal cannot be used: its client does not fit", "cluster", cluster.Name, "client", cluster.Client, "error", err)
			}
		}
	}
	return all, issuerCA, nil
}

// devAuthority is the local certificate authority with --dev, which everybody
// who uses the issuer needs.
func (s *server) devAuthority() ([]byte, error) {
	if !s.dev {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(s.config.DataDir, devCACertificate))
	if err != nil {
		return nil, fmt.Errorf("reading the local certificate authority: %w", err)
	}
	return text, nil
}
