// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// config is the configuration file, docs/reference/configuration.md. A key
// that is not here is an error.
type config struct {
	Issuer           string           `yaml:"issuer"`
	Listen           string           `yaml:"listen"`
	DataDir          string           `yaml:"data_dir"`
	TLS              tlsConfig        `yaml:"tls"`
	KeyEncryptionKey keySource        `yaml:"key_encryption_key"`
	SigningAlg       string           `yaml:"signing_alg"`
	GroupsClaim      string           `yaml:"groups_claim"`
	Lifetimes        lifetimes        `yaml:"lifetimes"`
	PasswordHash     passwordHash     `yaml:"password_hash"`
	Log              logConfig        `yaml:"log"`
	Users            []declaredUser   `yaml:"users"`
	Groups           []declaredGroup  `yaml:"groups"`
	Clients          []declaredClient `yaml:"clients"`

	path string // of the file; empty without one
}

type tlsConfig struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

type keySource struct {
	File        string `yaml:"file"`
	Environment string `yaml:"environment"`
}

type lifetimes struct {
	LoginPage       duration `yaml:"login_page"`
	Code            duration `yaml:"code"`
	IDToken         duration `yaml:"id_token"`
	AccessToken     duration `yaml:"access_token"`
	Session         duration `yaml:"session"`
	RefreshIdle     duration `yaml:"refresh_idle"`
	RefreshAbsolute duration `yaml:"refresh_absolute"`
	ReplayWindow    duration `yaml:"replay_window"`
}

type passwordHash struct {
	MemoryKiB uint32 `yaml:"memory_kib"`
	Time      uint32 `yaml:"time"`
	Threads   uint8  `yaml:"threads"`
}

type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

type declaredUser struct {
	Username      string `yaml:"username"`
	Subject       string `yaml:"subject"`
	Email         string `yaml:"email"`
	EmailVerified *bool  `yaml:"email_verified"`
	Name          string `yaml:"name"`
	PasswordHash  string `yaml:"password_hash"`
	Disabled      bool   `yaml:"disabled"`
}

type declaredGroup struct {
	Name    string   `yaml:"name"`
	Members []string `yaml:"members"`
}

type declaredClient struct {
	ID           string   `yaml:"id"`
	Name         string   `yaml:"name"`
	Public       bool     `yaml:"public"`
	SecretFile   string   `yaml:"secret_file"`
	SecretEnv    string   `yaml:"secret_environment"`
	SecretHash   string   `yaml:"secret_hash"`
	RedirectURIs []string `yaml:"redirect_uris"`
	Scopes       []string `yaml:"scopes"`
	GroupsClaim  string   `yaml:"groups_claim"`
	SigningAlg   string   `yaml:"signing_alg"`
}

// duration reads "90s", "15m", "12h" and "30d".
type duration time.Duration

var errNoDuration = errors.New("a duration is wanted here, such as 90s, 15m, 12h or 30d")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		var count int
		count, err = strconv.Atoi(days)
		parsed = time.Duration(count) * 24 * time.Hour
	}
	if err != nil || parsed <= 0 || parsed > 10*365*24*time.Hour {
		return errNoDuration
	}
	*d = duration(parsed)
	return nil
}

// loadConfig reads and checks the file at path; an empty path is an empty
// configuration. Relative paths in it start from its folder.
func loadConfig(env Env, path string) (config, error) {
	if path == "" {
		return config{}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, exit.Misuse("name another file with --config", "there is no configuration file %s", path)
	}
	if err != nil {
		return config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	var c config
	if err := decodeStrict(path, text, &c); err != nil {
		return config{}, err
	}
	c.path = path
	folder := filepath.Dir(path)
	relative := []*string{&c.DataDir, &c.TLS.Certificate, &c.TLS.Key, &c.KeyEncryptionKey.File}
	for i := range c.Clients {
		relative = append(relative, &c.Clients[i].SecretFile)
	}
	for _, p := range relative {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	if err := c.check(); err != nil {
		return config{}, exit.Misuse("", "%s: %w", path, err)
	}
	return c, nil
}

// check finds what is wrong without looking at anything but the file.
func (c config) check() error {
	if c.Issuer != "" {
		if err := provider.CheckIssuer(oidc.Issuer(c.Issuer)); err != nil {
			return err
		}
	}
	if c.Listen != "" {
		if err := checkListen(c.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls: certificate and key go together")
	}
	if c.KeyEncryptionKey.File != "" && c.KeyEncryptionKey.Environment != "" {
		return errors.New("key_encryption_key: give a file or an environment variable, not both")
	}
	if err := checkEnvironment("key_encryption_key.environment", c.KeyEncryptionKey.Environment); err != nil {
		return err
	}
	if c.SigningAlg != "" {
		if err := signingkey.CheckAlgorithm(c.SigningAlg); err != nil {
			return fmt.Errorf("signing_alg: %w", err)
		}
	}
	if c.GroupsClaim != "" {
		if err := clientregistry.CheckGroupsClaim(c.GroupsClaim); err != nil {
			return fmt.Errorf("groups_claim: %w", err)
		}
	}
	if err := c.cost().Validate(); err != nil {
		return fmt.Errorf("password_hash: %w", err)
	}
	if _, err := c.Log.level(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	l := c.providerLifetimes()
	if l.RefreshAbsolute != 0 && l.RefreshIdle > l.RefreshAbsolute {
		return errors.New("lifetimes: refresh_idle is longer than refresh_absolute")
	}
	return c.checkDeclared()
}

func (c config) checkDeclared() error {
	seen := map[string]bool{}
	once := func(what, name string) error {
		key := what + " " + strings.ToLower(name)
		if seen[key] {
			return fmt.Errorf("%s %q is declared twice", what, name)
		}
		seen[key] = true
		return nil
	}
	for n, u := range c.Users {
		err := cmp.Or(local.CheckUsername(u.Username), local.CheckEmail(u.Email), once("user", u.Username))
		if err == nil && u.Email != "" {
			err = once("e-mail address", u.Email)
		}
		if err == nil && u.Subject != "" {
			err = cmp.Or(checkSubject(u.Subject), once("subject", u.Subject))
		}
		if err == nil && u.PasswordHash != "" {
			err = local.CheckHash(u.PasswordHash)
		}
		if err != nil {
			return fmt.Errorf("users[%d]: %w", n, err)
		}
	}
	for n, g := range c.Groups {
		if err := cmp.Or(local.CheckGroup(g.Name), once("group", g.Name)); err != nil {
			return fmt.Errorf("groups[%d]: %w", n, err)
		}
	}
	for n, d := range c.Clients {
		err := cmp.Or(d.client("").Validate(), once("client", d.ID))
		secrets := 0
		for _, given := range []string{d.SecretFile, d.SecretEnv, d.SecretHash} {
			if given != "" {
				secrets++
			}
		}
		switch {
		case err != nil:
		case d.Public && secrets > 0:
			err = errors.New("a public client has no secret")
		case !d.Public && secrets != 1:
			err = errors.New("give one of secret_file, secret_environment and secret_hash, or public: true")
		case checkEnvironment("secret_environment", d.SecretEnv) != nil:
			err = checkEnvironment("secret_environment", d.SecretEnv)
		case d.SecretHash != "" && !validSecretHash(d.SecretHash):
			err = errors.New("secret_hash is not sha256: and 64 hexadecimal digits")
		case d.SigningAlg != "":
			err = signingkey.CheckAlgorithm(d.SigningAlg)
		}
		if err != nil {
			return fmt.Errorf("clients[%d]: %w", n, err)
		}
	}
	return nil
}

// checkSubject tells why a subject cannot be used, or returns nil (OpenID
// Connect Core 1.0, section 2: at most 255 ASCII characters).
func checkSubject(subject string) error {
	if len(subject) > 255 || strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("subject %.40q is not of at most 255 printable ASCII characters", subject)
	}
	return nil
}

// checkEnvironment tells why a text cannot be the name of an environment
// variable, or returns nil. It does not quote it: it may be the secret itself.
func checkEnvironment(key, name string) error {
	for i, r := range name {
		if !(r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || i > 0 && '0' <= r && r <= '9') {
			return fmt.Errorf("%s must be the name of an environment variable, not its value", key)
		}
	}
	return nil
}

func validSecretHash(hash string) bool {
	digits, ok := strings.CutPrefix(hash, "sha256:")
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port between 0 and 65535", address)
	}
	return nil
}

func (c config) cost() local.Cost {
	cost := local.DefaultCost
	if c.PasswordHash.MemoryKiB != 0 {
		cost.Memory = c.PasswordHash.MemoryKiB
	}
	if c.PasswordHash.Time != 0 {
		cost.Time = c.PasswordHash.Time
	}
	if c.PasswordHash.Threads != 0 {
		cost.Threads = c.PasswordHash.Threads
	}
	return cost
}

func (c config) providerLifetimes() provider.Lifetimes {
	return provider.Lifetimes{
		LoginPage:       time.Duration(c.Lifetimes.LoginPage),
		Code:            time.Duration(c.Lifetimes.Code),
		IDToken:         time.Duration(c.Lifetimes.IDToken),
		AccessToken:     time.Duration(c.Lifetimes.AccessToken),
		Session:         time.Duration(c.Lifetimes.Session),
		RefreshIdle:     time.Duration(c.Lifetimes.RefreshIdle),
		RefreshAbsolute: time.Duration(c.Lifetimes.RefreshAbsolute),
		ReplayWindow:    time.Duration(c.Lifetimes.ReplayWindow),
	}
}

func (d declaredClient) client(secretHash string) clientregistry.Client {
	return clientregistry.Client{
		ID: oidc.ClientID(d.ID), Name: d.Name, SecretHash: secretHash, RedirectURIs: d.RedirectURIs,
		Scopes: d.Scopes, GroupsClaim: d.GroupsClaim, SigningAlg: d.SigningAlg, Declared: true,
	}
}

// declaration is what the file declares, with the secrets that it names read.
func (c config) declaration(env Env) (store.Declaration, error) {
	var d store.Declaration
	for _, u := range c.Users {
		d.Users = append(d.Users, local.Account{
			User: identity.User{
				Subject: oidc.Subject(u.Subject), Username: u.Username, Email: u.Email,
				EmailVerified: u.EmailVerified == nil || *u.EmailVerified, Name: u.Name, Disabled: u.Disabled,
			},
			PasswordHash: u.PasswordHash,
		})
	}
	for _, g := range c.Groups {
		d.Groups = append(d.Groups, store.Group{Name: g.Name, Members: g.Members})
	}
	for _, declared := range c.Clients {
		hash, err := declared.secretHash(env)
		if err != nil {
			return store.Declaration{}, exit.Misuse("", "client %q: %w", declared.ID, err)
		}
		d.Clients = append(d.Clients, declared.client(hash))
	}
	return d, nil
}

func (d declaredClient) secretHash(env Env) (string, error) {
	var value secret.String
	switch {
	case d.Public:
		return "", nil
	case d.SecretHash != "":
		return d.SecretHash, nil
	case d.SecretFile != "":
		text, err := os.ReadFile(d.SecretFile)
		if err != nil {
			return "", fmt.Errorf("reading the secret: %w", err)
		}
		value = secret.New(strings.TrimRight(string(text), "\r\n"))
	default:
		text := env.getenv(d.SecretEnv)
		if text == "" {
			return "", fmt.Errorf("the environment variable %s, which holds the secret, is not set", d.SecretEnv)
		}
		value = secret.New(text)
	}
	if err := clientregistry.CheckSecret(value); err != nil {
		return "", err
	}
	return clientregistry.HashSecret(value), nil
}
