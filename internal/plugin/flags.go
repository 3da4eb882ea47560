// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

// getTokenFlags are the flags of get-token, as they were written.
type getTokenFlags struct {
	issuer       string
	clientID     string
	clientSecret string
	redirectURL  string
	extraScopes  []string
	accessToken  bool
	headers      map[string]string
	forceRefresh bool

	minimumValidity time.Duration

	cacheDir     string
	cacheStorage string

	authorities     []string
	authorityData   []string
	insecure        bool
	renegotiateOnce bool
	renegotiateFree bool

	pkce    string
	usePKCE bool

	grantType     string
	listen        []string
	skipBrowser   bool
	browser       string
	timeout       int
	serverCert    string
	serverKey     string
	openAfter     string
	extraParams   map[string]string
	username      string
	passwordGiven string

	clientAuth clientAuthFlags

	config string
	help   bool
}

// define declares the flags, in the order in which help shows them.
func (f *getTokenFlags) define() *pflag.FlagSet {
	set := pflag.NewFlagSet("get-token", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	set.StringVar(&f.issuer, "oidc-issuer-url", "", "issuer `URL` of the provider (required)")
	set.StringVar(&f.clientID, "oidc-client-id", "", "`ID` of this client at the provider (required)")
	set.StringVar(&f.clientSecret, "oidc-client-secret", "", "`secret` of this client, if it has one")
	set.StringVar(&f.clientAuth.secretFile, "oidc-client-secret-file", "", "`file` whose first line is that secret")
	set.StringVar(&f.clientAuth.secretCommand, "oidc-client-secret-command", "", "`command` that prints that secret")
	set.StringVar(&f.clientAuth.assertionKey, "oidc-client-assertion-key", "", "key `file` that proves who this client is (private_key_jwt)")
	set.StringVar(&f.clientAuth.certificate, "oidc-client-certificate", "", "certificate `file` that proves who this client is (mTLS)")
	set.StringVar(&f.clientAuth.key, "oidc-client-key", "", "key `file` of that certificate")
	set.StringVar(&f.redirectURL, "oidc-redirect-url", "", "`URL` that the provider sends the browser to (default http://localhost:PORT, with authcode-keyboard urn:ietf:wg:oauth:2.0:oob)")
	set.Var(&commaList{values: &f.extraScopes}, "oidc-extra-scope", "`scopes` to ask for beside openid")
	set.BoolVar(&f.accessToken, "oidc-use-access-token", false, "use the access token instead of the ID token")
	set.Var(&pairMap{&f.headers}, "oidc-request-header", "headers, `name=value`, for each request to the provider")
	set.BoolVar(&f.forceRefresh, "force-refresh", false, "renew the tokens even if they are still valid")
	set.DurationVar(&f.minimumValidity, "minimum-validity", minimumValidity, "renew a token that is valid for less than this `duration`")

	set.StringVar(&f.cacheDir, "token-cache-dir", "", "`folder` of the token cache (default $KUBECACHEDIR/oidc-login or ~/.kube/cache/oidc-login)")
	set.StringVar(&f.cacheStorage, "token-cache-storage", storageDisk, "`where` tokens are kept: disk; keyring, sealed with a key in the system's keyring; none")

	set.StringArrayVar(&f.authorities, "certificate-authority", nil, "`file` of the authority that signed the provider's certificate; replaces those of the system")
	set.StringArrayVar(&f.authorityData, "certificate-authority-data", nil, "the same as base64 of the file's `content`")
	set.BoolVar(&f.insecure, "insecure-skip-tls-verify", false, "do not check the provider's certificate: anybody may then read your tokens")
	set.BoolVar(&f.renegotiateOnce, "tls-renegotiation-once", false, "let the provider renegotiate TLS once")
	set.BoolVar(&f.renegotiateFree, "tls-renegotiation-freely", false, "let the provider renegotiate TLS")

	set.StringVar(&f.pkce, "oidc-pkce-method", "auto", "PKCE `method`: auto, S256, no")
	set.BoolVar(&f.usePKCE, "oidc-use-pkce", false, "")

	set.StringVar(&f.grantType, "grant-type", "auto", "`grant` to use: auto, authcode, authcode-keyboard, device-code, password, client-credentials")
	f.listen = []string{"127.0.0.1:8000", "127.0.0.1:18000"}
	set.Var(&commaList{values: &f.listen}, "listen-address", "`addresses` for the browser's answer, tried in order")
	set.BoolVar(&f.skipBrowser, "skip-open-browser", false, "print the address instead of starting a browser")
	set.StringVar(&f.browser, "browser-command", "", "`command` that starts the browser; %s is the address")
	set.IntVar(&f.timeout, "authentication-timeout-sec", 180, "`seconds` that a person may take to log in")
	set.StringVar(&f.serverCert, "local-server-cert", "", "certificate `file` that makes the browser's answer come over https")
	set.StringVar(&f.serverKey, "local-server-key", "", "key `file` of that certificate")
	set.StringVar(&f.openAfter, "open-url-after-authentication", "", "`URL` that the browser shows after the login")
	set.Var(&pairMap{&f.extraParams}, "oidc-auth-request-extra-params", "parameters, `name=value`, for the authorization request, or the token request where there is none")
	set.StringVar(&f.username, "username", "", "`name` for the password grant, which --grant-type=auto then uses")
	set.StringVar(&f.passwordGiven, "password", "", "`password` for the password grant; better typed than given")
	defineConfig(set, &f.config)
	set.BoolVarP(&f.help, "help", "h", false, "show this text")
	set.Lookup("oidc-use-pkce").Hidden = true // the old way to say --oidc-pkce-method=S256
	return set
}

// parse reads the arguments of a command into a set of flags, and what they
// leave open from the environment and the configuration file.
func parse(env *Env, set *pflag.FlagSet, args []string) error {
	more := "kubectl-oidc_login " + set.Name() + " --help shows its flags"
	if mentionsLog(args) {
		defineLog(set)
	}
	err := set.Parse(args)
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		var names []string
		set.VisitAll(func(flag *pflag.Flag) {
			if !flag.Hidden {
				names = append(names, flag.Name)
			}
		})
		return exit.Misuse(nearest(name, names, "--", more), "there is no flag %s%s", dashes, name)
	}
	if err != nil {
		return exit.Misuse(more, "%w", err)
	}
	if set.NArg() > 0 {
		return exit.Misuse(more, "%s takes no argument, but got %q", set.Name(), set.Arg(0))
	}
	if err := fill(env, set); err != nil {
		return err
	}
	env.trace = newTrace(*env, set)
	return nil
}

// check refuses what cannot be meant, before anything is done.
func (f *getTokenFlags) check() error {
	switch {
	case f.minimumValidity < 0:
		return exit.Misuse("it is a duration such as 10s or 5m", "--minimum-validity=%s is negative", f.minimumValidity)
	case f.issuer == "":
		return exit.Misuse("it is the URL in the provider's metadata, for instance --oidc-issuer-url=https://id.example.com", "--oidc-issuer-url is missing")
	case f.clientID == "":
		return exit.Misuse("it is the name under which the provider knows kubectl, for instance --oidc-client-id=kubernetes", "--oidc-client-id is missing")
	case (f.serverCert == "") != (f.serverKey == ""):
		return exit.Misuse("", "--local-server-cert and --local-server-key go together")
	case f.timeout <= 0:
		return exit.Misuse("", "--authentication-timeout-sec must be above 0")
	case len(f.listen) == 0:
		return exit.Misuse("", "--listen-address is empty")
	}
	if f.browser != "" {
		if err := (login.Browser{Command: f.browser}).Check(); err != nil {
			return exit.Misuse("", "%w", err)
		}
	}
	switch f.cacheStorage {
	case storageDisk, storageKeyring, storageNone:
	default:
		return exit.Misuse("it is one of disk, keyring, none", "there is no --token-cache-storage=%s", f.cacheStorage)
	}
	switch grant(f.grantType) {
	case grantAuto, grantAuthcode, grantKeyboard, grantPassword, grantDevice, grantClientCredentials:
	default:
		return exit.Misuse("it is one of auto, authcode, authcode-keyboard, password, device-code, client-credentials", "there is no --grant-type=%s", f.grantType)
	}
	switch login.PKCE(f.pkce) {
	case login.PKCEAuto, login.PKCEOff, login.PKCES256:
	default:
		return exit.Misuse("it is one of auto, S256, no", "there is no --oidc-pkce-method=%s", f.pkce)
	}
	if err := f.checkClientAuth(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.extraParams)) {
		if login.ReservedParam(name) {
			return exit.Misuse("", "--oidc-auth-request-extra-params cannot set %q: it ties the answer to this login", name)
		}
	}
	for _, address := range []struct{ flag, value string }{
		{"--oidc-issuer-url", f.issuer},
		{"--oidc-redirect-url", f.redirectURL},
		{"--open-url-after-authentication", f.openAfter},
	} {
		if address.value == "" || address.value == login.OutOfBand && grant(f.grantType) == grantKeyboard {
			continue
		}
		if u, err := url.Parse(address.value); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return exit.Misuse("it begins with https://", "%s=%s is no address", address.flag, address.value)
		} else if address.flag == "--oidc-issuer-url" && u.Scheme == "http" && !oidc.LoopbackHost(u.Hostname()) {
			return exit.Misuse("API servers take https issuers alone", "--oidc-issuer-url=%s is http, which anybody on the way can change", address.value)
		}
	}
	return nil
}

// authoritiesPEM reads the certificate authorities of both flags.
func (f *getTokenFlags) authoritiesPEM(lookup func(string) string) ([][]byte, error) {
	var texts [][]byte
	for _, path := range f.authorities {
		text, err := tokencache.ReadFile(tokencache.ExpandHome(path, lookup))
		if err != nil {
			return nil, exit.Misuse("", "reading --certificate-authority: %w", err)
		}
		texts = append(texts, text)
	}
	for _, data := range f.authorityData {
		text, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, exit.Misuse("it is what base64 -w0 prints of a PEM file", "--certificate-authority-data is no base64")
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// request is what get-token was asked to do.
type request struct {
	flags    *getTokenFlags
	identity tokencache.Identity
	key      tokencache.Key
	cache    tokencache.Cache
	keyring  *oneKeyring // the cache's; nil without a cache

	// seen is the token that was kept and is not good enough.
	seen secret.String

	// ahead is how much longer than for kubectl the tokens must be good: a
	// person asks for them ahead of time.
	ahead time.Duration

	// noCache says why nothing can be kept although it was asked for.
	noCache error
}

// request turns the flags into their meaning.
func (f *getTokenFlags) request(lookup func(string) string) (request, error) {
	authorities, err := f.authoritiesPEM(lookup)
	if err != nil {
		return request{}, err
	}
	r := request{
		flags: f,
		identity: tokencache.Identity{
			Issuer:                 oidc.Issuer(f.issuer),
			ClientID:               oidc.ClientID(f.clientID),
			Scopes:                 f.extraScopes,
			Authorities:            authorities,
			InsecureSkipTLSVerify:  f.insecure,
			RequestHeaders:         f.headers,
			AuthRequestExtraParams: f.extraParams,
			AccessToken:            f.accessToken,
			Client:                 grant(f.grantType) == grantClientCredentials,
		},
	}
	if g := grant(f.grantType); g == grantAuto || g == grantPassword {
		r.identity.Username = f.username
	}
	if r.key, err = r.identity.Key(); err != nil {
		return request{}, exit.Misuse("", "reading --certificate-authority: %w", err)
	}
	if f.cacheStorage == storageNone {
		return r, nil
	}
	r.cache, r.keyring = cacheAt(f.cacheDir, lookup)
	r.cache.Seal = f.cacheStorage == storageKeyring
	if r.cache.Dir == "" {
		r.noCache = errors.New("there is no home directory")
	}
	return r, nil
}

// client is the protocol's view of the request.
func (r request) client(env Env) (*login.Client, error) {
	trust := login.Trust{
		Authorities:           r.identity.Authorities,
		InsecureSkipTLSVerify: r.identity.InsecureSkipTLSVerify,
		Headers:               r.identity.RequestHeaders,
	}
	if err := r.flags.applyCertificate(&trust, env.Lookup); err != nil {
		return nil, err
	}
	transport, err := login.NewHTTPClient(trust)
	if err != nil {
		return nil, exit.Misuse("", "reading --certificate-authority: %w", err)
	}
	transport.Transport = env.trace.transport(transport.Transport)
	client := &login.Client{
		Issuer:         r.identity.Issuer,
		ClientID:       r.identity.ClientID,
		Scopes:         r.identity.Scopes,
		UseAccessToken: r.flags.accessToken,
		HTTP:           transport,
		Notebook:       tokencache.ProviderFile{Cache: r.cache, Key: r.key},
		Now:            env.Now,

		ShowsCertificate: r.flags.clientAuth.certificate != "",
	}
	return client, r.flags.applyClientAuth(client, env)
}

// commandLine is the command to type to log in, without the secret.
func commandLine(args []string) string {
	var words []string
	for i := 0; i < len(args); i++ {
		switch word := args[i]; {
		case strings.Contains(word, "=") && private(before(word, "=")):
			words = append(words, before(word, "=")+"=…")
		case private(word):
			words = append(words, word+"=…")
			i++
		case i > 0:
			words = append(words, exit.Quote(word))
		default:
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// private reports whether the value of a flag is not for a message: a secret,
// or what may hold one.
func private(word string) bool {
	name, ok := strings.CutPrefix(word, "--")
	return ok && slices.Contains(append(secretFlags(), "oidc-request-header", "oidc-auth-request-extra-params"), name)
}

func before(text, separator string) string {
	head, _, _ := strings.Cut(text, separator)
	return head
}

// pkceMethod joins the flag and its older form.
func (f *getTokenFlags) pkceMethod() login.PKCE {
	if f.usePKCE {
		return login.PKCES256
	}
	return login.PKCE(f.pkce)
}

// certificate is that of the callback server; nil means plain http.
func (f *getTokenFlags) certificate(lookup func(string) string) (*tls.Certificate, error) {
	if f.serverCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(tokencache.ExpandHome(f.serverCert, lookup), tokencache.ExpandHome(f.serverKey, lookup))
	if err != nil {
		return nil, exit.Misuse("", "reading --local-server-cert and --local-server-key: %w", err)
	}
	return &pair, nil
}
