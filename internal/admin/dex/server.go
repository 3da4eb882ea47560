// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// server is what belongs to the server as a whole.
func (c *conversion) server(root *section) {
	c.issuer(root)
	c.web(root.section("web"))
	c.storage(root.section("storage"))

	if telemetry := root.section("telemetry"); telemetry.has("http") || telemetry.has("enableProfiling") {
		if listen := telemetry.text("http"); listen != "" {
			c.putOr(telemetry, "http", "metrics.listen is where metrics are served", func(o *Config) { o.Metrics = &Metrics{listen} })
		}
		if telemetry.flag("enableProfiling") {
			c.missing(telemetry, "enableProfiling", "there are no profiling endpoints", "tracing.endpoint sends a span for each request")
		}
	}
	logger := root.section("logger")
	level, format := strings.ToLower(logger.text("level")), logger.text("format")
	if level == "warning" {
		level = "warn"
	}
	if level != "" || format != "" {
		c.putOr(logger, "", "log.level is debug, info, warn or error, log.format is text or json", func(o *Config) { o.Log = &Log{level, format} })
	}
	if logger.has("excludeFields") {
		c.missing(logger, "excludeFields", "no field can be left out of the log", "who logged in stands in the audit trail; say with audit.file where that goes")
	}
	c.secondFactor(root.section("mfa"))
	if root.has("frontend") {
		c.missing(root, "frontend", "the pages have their own design, in English and Japanese; there are no themes, logos and templates", "leave it")
	}
	grpc := root.section("grpc")
	if grpc.has("addr") {
		c.missing(grpc, "addr", "there is no gRPC API; users, clients and connectors that were made with it stand in Dex's database, not in this file, and are not here",
			"make them again: tegata user add, tegata client add, or in the configuration file")
	}
	grpc.passBy()
}

// secondFactor is carried over as a demand: what people registered is in
// Dex's database.
func (c *conversion) secondFactor(mfa *section) {
	if mfa.has("authenticators") {
		c.next(mfa, "authenticators", "the second factors that people registered in Dex are not here; who needs one sets it up right after the password",
			"tell people to do so early, at /account/factors below the issuer: somebody with a stolen password could be first")
	}
	if len(mfa.texts("defaultMFAChain")) > 0 {
		c.putOr(mfa, "defaultMFAChain", "", func(o *Config) { o.SecondFactor = &Required{true} })
	}
}

func (c *conversion) issuer(root *section) {
	text := root.text("issuer")
	issuer := strings.TrimRight(text, "/")
	if issuer == "" {
		c.next(root, "issuer", "there is no issuer", "give the URL of the provider: issuer: https://…")
		return
	}
	const everywhere = "say so to each API server (--oidc-issuer-url, or issuer.url of the AuthenticationConfiguration) and in each kubeconfig"
	if err := c.put(func(o *Config) { o.Issuer = issuer }); err != nil {
		do := "choose another, and " + everywhere
		if rest, plain := strings.CutPrefix(issuer, "http://"); plain {
			c.result.Suggestions = append(c.result.Suggestions, Suggestion{"the issuer, with https; " + everywhere, Config{Issuer: "https://" + rest}})
			do = "serve https, and " + everywhere
		}
		c.missing(root, "issuer", "not carried over: "+err.Error(), do)
		return
	}
	if issuer != text {
		c.missing(root, "issuer", fmt.Sprintf("it ends with a slash, which an issuer here never does: tokens say %s, and whoever compares that with %s refuses them", issuer, text),
			"take the slash away: "+everywhere)
	}
}

func (c *conversion) web(web *section) {
	plain, secure := web.text("http"), web.text("https")
	certificate, key := c.path(web, "tlsCert"), c.path(web, "tlsKey")
	remote := web.section("clientRemoteIP")
	proxies := remote.texts("trustedProxies")
	if header := remote.text("header"); header != "" && !strings.EqualFold(header, "X-Forwarded-For") {
		c.missing(remote, "header", fmt.Sprintf("where a request came from is read from X-Forwarded-For, not from %s", header), "let the proxy send that header")
	}
	trusted := len(proxies) > 0 && c.putOr(remote, "trustedProxies", "trusted_proxies takes addresses and networks", func(o *Config) { o.TrustedProxies = proxies })
	switch {
	case secure != "":
		c.putOr(web, "https", "listen takes HOST:PORT", func(o *Config) { o.Listen = secure })
		if certificate == "" || key == "" {
			c.next(web, "https", "Dex refuses https without tlsCert and tlsKey", "give tls.certificate and tls.key")
		} else {
			c.putOr(web, "tlsCert", "give tls.certificate and tls.key", func(o *Config) { o.TLS = &TLS{Certificate: certificate, Key: key} })
		}
		if plain != "" {
			c.changed(web, "http", fmt.Sprintf("nothing is served without TLS: %s is closed", plain))
		}
	case plain != "":
		c.putOr(web, "http", "listen takes HOST:PORT", func(o *Config) { o.Listen = plain })
		if trusted {
			c.putOr(web, "http", "", func(o *Config) { o.TLS = &TLS{ByProxy: true} })
			break
		}
		c.next(web, "http", "Dex speaks plain HTTP here, and something in front of it speaks TLS",
			"give tls.certificate and tls.key; or tls.by_proxy: true, and in trusted_proxies the addresses of what is in front")
		c.result.Suggestions = append(c.result.Suggestions, Suggestion{
			"if a load balancer speaks TLS in front; name its addresses",
			Config{TrustedProxies: []string{"10.0.0.0/8"}, TLS: &TLS{ByProxy: true}},
		})
	}
	for _, bound := range []string{"tlsMinVersion", "tlsMaxVersion"} {
		if version := web.text(bound); version != "" && (bound == "tlsMaxVersion" || version != "1.2") {
			c.missing(web, bound, "TLS 1.2 and 1.3 are taken, and nothing changes that", "leave it, or let a proxy in front decide")
		}
	}
	if web.has("headers") {
		c.changed(web, "headers", "the pages bring their own headers, such as a strict Content-Security-Policy; none can be set")
	}
	if web.has("allowedHeaders") {
		c.changed(web, "allowedHeaders", "scripts of other pages may send the headers that the protocol needs, and no others")
	}
}

// storage says what could take the place of Dex's.
func (c *conversion) storage(storage *section) {
	kind, config := storage.text("type"), storage.section("config")
	suggest := func(why string, s Config) {
		c.result.Suggestions = append(c.result.Suggestions, Suggestion{why, s})
	}
	switch kind {
	case "", "memory":
		suggest("where everything is kept; Dex kept nothing", Config{DataDir: "/var/lib/tegata"})
	case "postgres":
		port := config.text("port")
		host := config.text("host")
		if port == "" {
			port = "5432"
		}
		if host == "" {
			host = "localhost"
		}
		database := url.URL{Scheme: "postgres", User: url.User("tegata"), Host: net.JoinHostPort(host, port), Path: "/tegata"}
		suggest("where everything is kept: a database of its own, beside Dex's", Config{
			Storage: &Storage{&Postgres{URL: database.String(), PasswordFile: "db.password"}}, KEK: &KeySource{"kek"},
		})
	default:
		suggest("where everything is kept: one SQLite file in this folder, or PostgreSQL", Config{DataDir: "/var/lib/tegata"})
	}
	config.passBy() // it is about Dex's database, which is not read
	if kind != "" && kind != "memory" {
		c.changed(storage, "", "Dex's database is not read: everybody logs in once more, and what was in it and not in this file is not here")
	}
}

// Limits of ours.
const (
	longestToken     = 24 * time.Hour
	shortestRotation = time.Hour
	ourRefreshEnd    = 30 * 24 * time.Hour
)

// lifetimes is how long keys, tokens and sessions last.
func (c *conversion) lifetimes(root *section) {
	expiry := root.section("expiry")
	refresh := expiry.section("refreshTokens")
	var l Lifetimes

	switch d := expiry.duration("idTokens"); {
	case d == 0:
		c.changed(expiry, "idTokens", "ID tokens and access tokens last 15 minutes, in Dex 24 hours; kubectl renews them by itself if its client may use refresh tokens")
	default:
		if d > longestToken {
			c.missing(expiry, "idTokens", "no token lasts longer than 24 hours: it is 24h", "leave it; a refresh token is what lives longer")
		}
		l.IDToken = inWords(min(d, longestToken))
		l.AccessToken = l.IDToken // in Dex they are the same
	}
	if d := expiry.duration("authRequests"); d > 0 {
		l.LoginPage = inWords(d)
	}
	if d := expiry.duration("deviceRequests"); d > 0 {
		l.DeviceCode = inWords(d)
	}
	if d := refresh.duration("reuseInterval"); d > 0 {
		l.ReplayWindow = inWords(d)
	}
	idle, end := refresh.duration("validIfNotUsedFor"), refresh.duration("absoluteLifetime")
	switch {
	case end == 0 && idle == 0:
		c.changed(expiry, "refreshTokens", "a login ends 7 days after its last use and 30 days after its beginning; in Dex it never ends by itself")
	case end == 0:
		end = max(idle, ourRefreshEnd)
		c.changed(refresh, "absoluteLifetime", fmt.Sprintf("a login ends %s after its beginning; in Dex only one that nobody uses ends", inWords(end)))
	case idle > end:
		c.changed(refresh, "validIfNotUsedFor", "it is longer than absoluteLifetime, so it was cut to that")
		idle = end
	}
	if idle > 0 {
		l.RefreshIdle = inWords(idle)
	}
	if end > 0 {
		l.RefreshAbsolute = inWords(end)
	}
	if refresh.flag("disableRotation") {
		c.changed(refresh, "disableRotation", "refresh tokens always rotate; whoever sends one again within lifetimes.replay_window gets the same answer again")
	}
	c.sessions(root, &l)
	if l != (Lifetimes{}) {
		c.putOr(expiry, "", "look at lifetimes in docs/reference/configuration.md", func(o *Config) { o.Lifetimes = &l })
	}
	c.signer(root.section("signer"), expiry)
}

// sessions are those of browsers. Dex has them only behind a feature flag.
func (c *conversion) sessions(root *section, l *Lifetimes) {
	const shared = "who has logged in is known to every client of the issuer; a client cannot be left out of that"
	if !root.has("sessions") {
		c.changed(root, "", "a browser stays logged in for 12 hours, or 2 hours after its last use: the next client asks for no password, and one on a loopback address asks whether to continue")
		return
	}
	sessions := root.section("sessions")
	end, idle := sessions.duration("absoluteLifetime"), sessions.duration("validIfNotUsedFor")
	if end == 0 {
		end = 24 * time.Hour // Dex's default
	}
	if idle == 0 {
		idle = time.Hour
	}
	l.Session, l.SessionIdle = inWords(end), inWords(min(idle, end))
	if sessions.text("ssoSharedWithDefault") != "all" {
		c.missing(sessions, "ssoSharedWithDefault", shared, "set consent: always for clients that must ask, or give them an issuer of their own")
	}
	for _, key := range []string{"cookieName", "cookieEncryptionKey", "rememberMeCheckedByDefault"} {
		if sessions.has(key) {
			c.changed(sessions, key, "cookies are named and protected by the server itself, and there is no box to be remembered")
		}
	}
}

func (c *conversion) signer(signer, expiry *section) {
	where, key := expiry, "signingKeys"
	every := expiry.duration(key)
	config := signer.section("config")
	switch kind := signer.text("type"); kind {
	case "", "local":
		if d := config.duration("keysRotationPeriod"); d > 0 {
			where, key, every = config, "keysRotationPeriod", d
		}
		if algorithm := config.text("algorithm"); algorithm != "" {
			c.putOr(config, "algorithm", "signing_alg is RS256 or ES256", func(o *Config) { o.SigningAlg = algorithm })
		}
	default:
		config.passBy()
		c.missing(signer, "type", fmt.Sprintf("signing keys are kept sealed in the database, not by %.40q", kind), "key_encryption_key says where the key that seals them is")
	}
	c.changed(where, key, "the signing keys are new; API servers fetch them by themselves, and tokens of Dex are good for nothing")
	if every == 0 {
		return
	}
	if every < shortestRotation {
		c.missing(where, key, "signing keys change once an hour at the most: it is 1h", "leave it")
		every = shortestRotation
	}
	keys := Keys{RotateEvery: inWords(every)}
	if every <= 24*time.Hour {
		keys.PublishAhead = inWords((every / 6).Truncate(time.Second))
	}
	c.putOr(where, key, "keys.rotate_every is at least 1h", func(o *Config) { o.Keys = &keys })
}

// oauth2 is what Dex decides for all clients at once.
type oauth2 struct {
	consent string
	grants  []string // empty: all
	origins []string
	typed   bool // the password grant
}

func (c *conversion) oauth2(root *section) oauth2 {
	s := root.section("oauth2")
	made := oauth2{grants: s.texts("grantTypes")}
	for _, responseType := range s.texts("responseTypes") {
		if responseType != "code" {
			c.missing(s, "responseTypes", fmt.Sprintf("there are no implicit and hybrid flows, so nobody gets the response type %.60q", responseType), "let those clients use code, with PKCE")
		}
	}
	switch skip, given := s.flag("skipApprovalScreen"), s.find("skipApprovalScreen") != nil; {
	case skip:
	case given:
		made.consent = "always"
	default:
		c.changed(s, "skipApprovalScreen", "nobody is asked for approval after a password; a client asks each time if it has consent: always")
	}
	if s.flag("alwaysShowLoginScreen") {
		c.changed(s, "alwaysShowLoginScreen", "the login page decides by itself when there is something to choose")
	}
	if connector := s.text("passwordConnector"); connector != "" {
		made.typed = len(made.grants) == 0 || slices.Contains(made.grants, "password")
		if made.typed {
			c.putOr(s, "passwordConnector", "", func(o *Config) { o.PasswordGrant = true })
			c.changed(s, "passwordConnector", fmt.Sprintf("the password grant asks every source that takes passwords, not %.60q alone; clients[].sources of a client names those it may use", connector))
		}
	}
	pkce := s.section("pkce")
	if pkce.flag("enforce") {
		c.changed(pkce, "enforce", "public clients must use PKCE; clients with a secret may")
	}
	if slices.Contains(pkce.texts("codeChallengeMethodsSupported"), "plain") {
		c.changed(pkce, "codeChallengeMethodsSupported", "PKCE is S256; plain is refused")
	}
	if origins := root.section("web").texts("allowedOrigins"); slices.Contains(origins, "*") {
		c.missing(root.section("web"), "allowedOrigins", "no client may be called from every page", "name the origins of each client: clients[].origins")
	} else {
		made.origins = origins
	}
	return made
}

// allows reports whether the issuer offers a grant at all.
func (o oauth2) allows(grantType string) bool {
	return len(o.grants) == 0 || slices.Contains(o.grants, grantType)
}
