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
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// config is the configuration file, docs/reference/configuration.md. A key
// that is not here is an error.
type config struct {
	IssuerConfig `yaml:",inline"` // the usual case: one
	Issuers      []IssuerConfig   `yaml:"issuers"`

	Listen           string        `yaml:"listen"`
	TrustedProxies   []string      `yaml:"trusted_proxies"`
	DataDir          string        `yaml:"data_dir"`
	Storage          storageConfig `yaml:"storage"`
	TLS              tlsConfig     `yaml:"tls"`
	KeyEncryptionKey keySource     `yaml:"key_encryption_key"`
	PasswordHash     passwordHash  `yaml:"password_hash"`
	Log              logConfig     `yaml:"log"`
	Audit            auditConfig   `yaml:"audit"`
	Metrics          metricsConfig `yaml:"metrics"`
	Tracing          tracingConfig `yaml:"tracing"`

	path     string // of the file; empty without one
	existing bool   // refuse a place without data
}

// IssuerConfig is what each issuer has of its own. (The YAML library inlines
// exported types alone.)
type IssuerConfig struct {
	ID             string           `yaml:"id"`
	Issuer         string           `yaml:"issuer"`
	SigningAlg     string           `yaml:"signing_alg"`
	Keys           keysConfig       `yaml:"keys"`
	GroupsClaim    string           `yaml:"groups_claim"`
	Lifetimes      lifetimes        `yaml:"lifetimes"`
	PasswordGrant  bool             `yaml:"password_grant"`
	Sources        []sourceConfig   `yaml:"sources"`
	PasswordPolicy passwordPolicy   `yaml:"password_policy"`
	Users          []declaredUser   `yaml:"users"`
	Groups         []declaredGroup  `yaml:"groups"`
	Clients        []declaredClient `yaml:"clients"`

	IssuerCA string            `yaml:"issuer_ca"`
	Clusters []declaredCluster `yaml:"clusters"`

	Administrators []string `yaml:"administrators"` // groups

	SecondFactor secondFactorConfig `yaml:"second_factor"`

	atRunTime bool // it stands in the database, not in the file
}

type tlsConfig struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	ClientCA    string `yaml:"client_ca"`
	ByProxy     bool   `yaml:"by_proxy"` // a trusted proxy in front speaks TLS
}

type auditConfig struct {
	File string `yaml:"file"` // - is standard output
}

type metricsConfig struct {
	Listen string `yaml:"listen"`
}

type tracingConfig struct {
	Endpoint string `yaml:"endpoint"` // of OTLP over HTTP
}

type keySource struct {
	File        string `yaml:"file"`
	Environment string `yaml:"environment"`
}

type keysConfig struct {
	RotateEvery  duration `yaml:"rotate_every"`
	PublishAhead duration `yaml:"publish_ahead"`
}

type lifetimes struct {
	LoginPage       duration `yaml:"login_page"`
	Code            duration `yaml:"code"`
	IDToken         duration `yaml:"id_token"`
	AccessToken     duration `yaml:"access_token"`
	DeviceCode      duration `yaml:"device_code"`
	Session         duration `yaml:"session"`
	SessionIdle     duration `yaml:"session_idle"`
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
	relative := []*string{&c.DataDir, &c.TLS.Certificate, &c.TLS.Key, &c.TLS.ClientCA, &c.KeyEncryptionKey.File, &c.Storage.SQLite.Path}
	if p := c.Storage.Postgres; p != nil {
		relative = append(relative, &p.PasswordFile, &p.CA)
	}
	if c.Audit.File != "-" {
		relative = append(relative, &c.Audit.File)
	}
	for _, issuer := range c.issuers() {
		for i := range issuer.Clients { // shared with the configuration
			relative = append(relative, &issuer.Clients[i].SecretFile, &issuer.Clients[i].JWKSFile)
		}
		for i := range issuer.Sources {
			relative = append(relative, issuer.Sources[i].files()...)
		}
	}
	relative = append(relative, c.clusterFiles()...)
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

// issuers are those that the file describes: the one at the top, which has
// the ID default, or those of the list.
func (c config) issuers() []IssuerConfig {
	if len(c.Issuers) > 0 {
		return c.Issuers
	}
	one := c.IssuerConfig
	one.ID = issuerID
	return []IssuerConfig{one}
}

// check finds what is wrong without looking at anything but the file.
func (c config) check() error {
	if err := c.checkServer(); err != nil {
		return err
	}
	if err := c.checkStorage(); err != nil {
		return err
	}
	if c.KeyEncryptionKey.File != "" && c.KeyEncryptionKey.Environment != "" {
		return errors.New("key_encryption_key: give a file or an environment variable, not both")
	}
	if err := checkEnvironment("key_encryption_key.environment", c.KeyEncryptionKey.Environment); err != nil {
		return err
	}
	if err := c.cost().Validate(); err != nil {
		return fmt.Errorf("password_hash: %w", err)
	}
	if len(c.Issuers) == 0 {
		if c.ID != "" {
			return errors.New("id belongs to the entries of issuers; one issuer alone needs none")
		}
		return c.IssuerConfig.check()
	}
	if !reflect.ValueOf(c.IssuerConfig).IsZero() {
		return errors.New("with issuers, what belongs to an issuer (issuer, clients, users, lifetimes and so on) stands in its entry there, not at the top")
	}
	ids, urls := map[string]bool{}, map[string]bool{}
	for n, issuer := range c.Issuers {
		err := checkIssuerID(issuer.ID)
		switch {
		case err != nil:
		case ids[issuer.ID]:
			err = fmt.Errorf("id %q is given twice", issuer.ID)
		case issuer.Issuer == "":
			err = errors.New("issuer is missing: the URL, https://…")
		case urls[issuer.Issuer]:
			err = fmt.Errorf("issuer %s is given twice", issuer.Issuer)
		default:
			err = issuer.check()
		}
		if err != nil {
			return fmt.Errorf("issuers[%d]: %w", n, err)
		}
		ids[issuer.ID], urls[issuer.Issuer] = true, true
	}
	return nil
}

// checkServer is about the server, whatever issuers it has.
func (c config) checkServer() error {
	if c.Listen != "" {
		if err := checkListen(c.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls: certificate and key go together")
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		return fmt.Errorf("trusted_proxies: %w", err)
	}
	switch {
	case !c.TLS.ByProxy:
	case c.TLS.Certificate != "" || c.TLS.ClientCA != "":
		return errors.New("tls: with by_proxy there is neither a certificate nor a client_ca: the proxy has them")
	case len(c.TrustedProxies) == 0:
		return errors.New("tls.by_proxy needs trusted_proxies: without TLS only they may ask")
	}
	if _, err := c.Log.level(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if c.Metrics.Listen != "" {
		if err := checkListen(c.Metrics.Listen); err != nil {
			return fmt.Errorf("metrics.listen: %w", err)
		}
	}
	if err := c.Tracing.check(); err != nil {
		return fmt.Errorf("tracing.endpoint: %w", err)
	}
	return nil
}

// checkIssuerID tells why an ID cannot be used, or returns nil. It is part of
// the names of cookies.
func checkIssuerID(id string) error {
	if id == "" || len(id) > 40 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("id %.60q is not of at most 40 small letters, digits and hyphens", id)
	}
	return nil
}

// check is about one issuer.
func (c IssuerConfig) check() error {
	if c.Issuer != "" {
		if err := provider.CheckIssuer(oidc.Issuer(c.Issuer)); err != nil {
			return err
		}
	}
	if c.SigningAlg != "" {
		if err := signingkey.CheckAlgorithm(c.SigningAlg); err != nil {
			return fmt.Errorf("signing_alg: %w", err)
		}
	}
	if err := c.keyPolicy().Validate(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if longest := max(c.Lifetimes.IDToken, c.Lifetimes.AccessToken); time.Duration(longest) > signingkey.MaxTokenLifetime {
		return errors.New("lifetimes: id_token and access_token are at most 24h; a refresh token is what lives longer")
	}
	if c.GroupsClaim != "" {
		if err := clientregistry.CheckGroupsClaim(c.GroupsClaim); err != nil {
			return fmt.Errorf("groups_claim: %w", err)
		}
	}
	l := c.providerLifetimes()
	if l.RefreshAbsolute != 0 && l.RefreshIdle > l.RefreshAbsolute {
		return errors.New("lifetimes: refresh_idle is longer than refresh_absolute")
	}
	if l.Session != 0 && l.SessionIdle > l.Session {
		return errors.New("lifetimes: session_idle is longer than session")
	}
	if err := c.PasswordPolicy.policy(c.Issuer).Validate(); err != nil {
		return fmt.Errorf("password_policy: %w", err)
	}
	if err := c.checkSources(); err != nil {
		return err
	}
	if err := c.SecondFactor.check(); err != nil {
		return fmt.Errorf("second_factor: %w", err)
	}
	if err := c.checkAdministrators(); err != nil {
		return err
	}
	if err := c.checkDeclared(); err != nil {
		return err
	}
	return c.checkClusters()
}

func (c IssuerConfig) checkDeclared() error {
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
		if err := cmp.Or(d.check(), once("client", d.ID)); err != nil {
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

func (c IssuerConfig) keyPolicy() signingkey.Policy {
	return signingkey.Policy{RotateEvery: time.Duration(c.Keys.RotateEvery), PublishAhead: time.Duration(c.Keys.PublishAhead)}
}

func (c IssuerConfig) providerLifetimes() provider.Lifetimes {
	return provider.Lifetimes{
		LoginPage:       time.Duration(c.Lifetimes.LoginPage),
		Code:            time.Duration(c.Lifetimes.Code),
		IDToken:         time.Duration(c.Lifetimes.IDToken),
		AccessToken:     time.Duration(c.Lifetimes.AccessToken),
		DeviceCode:      time.Duration(c.Lifetimes.DeviceCode),
		Session:         time.Duration(c.Lifetimes.Session),
		SessionIdle:     time.Duration(c.Lifetimes.SessionIdle),
		RefreshIdle:     time.Duration(c.Lifetimes.RefreshIdle),
		RefreshAbsolute: time.Duration(c.Lifetimes.RefreshAbsolute),
		ReplayWindow:    time.Duration(c.Lifetimes.ReplayWindow),
	}
}

// declarations are what the file declares for each issuer, with the secrets
// that it names read.
func (c config) declarations(env Env) ([]store.Declaration, error) {
	var all []store.Declaration
	for _, issuer := range c.issuers() {
		if _, _, err := issuer.clusters(env.Now()); err != nil {
			return nil, err
		}
		declared, err := issuer.declaration(env, c.TLS.ClientCA != "")
		if err != nil {
			return nil, err
		}
		all = append(all, declared)
	}
	return all, nil
}

func (c IssuerConfig) declaration(env Env, certificates bool) (store.Declaration, error) {
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
	var err error
	d.Clients, err = c.declaredClients(env, certificates)
	return d, err
}
