// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/secret"
)

// marker stands where a person may have written a secret. No message may
// repeat it.
const marker = "mArKeR0fAs3cret"

func TestConfigCheckRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		file string
		want string // the message after "error: tegata.yaml", up to its end
		hint string // empty: none
	}{
		// A key that nobody knows.
		{"unknown key", "isuer: x\n", `:1: the file has no key "isuer"`, `did you mean "issuer"?`},
		{"unknown key in another case", "Issuer: x\n", `:1: the file has no key "Issuer"`, `did you mean "issuer"?`},
		{"unknown key far below", "issuer: https://a.example\n\nusers:\n  - username: a\n  - usrname: b\n", `:5: users[1] has no key "usrname"`, `did you mean "username"?`},
		{"unknown key in a section", "tls:\n  certificat: x\n", `:2: tls has no key "certificat"`, `did you mean "certificate"?`},
		{"unknown key in a client", "clients:\n- id: a\n  redirect_uri: [x]\n", `:3: clients[0] has no key "redirect_uri"`, `did you mean "redirect_uris"?`},
		{"unknown key like none", "password_hash: {bananas: 1}\n", `:1: password_hash has no key "bananas"`, "known here: memory_kib, threads, time"},
		{"unknown key holds a secret", "passwrd: " + marker + "\n", `:1: the file has no key "passwrd"`, ""},
		{"merge key", "log: {level: info}\n<<: {listen: \":1\"}\n", `:2: the file has no key "<<"`, ""},

		// A value of another kind.
		{"list for a text", "issuer: [" + marker + "]\n", ":1: a text is wanted here", ""},
		{"text for a list", "users: " + marker + "\n", ":1: users must be a list", ""},
		{"list for a section", "tls: [" + marker + "]\n", ":1: tls must be keys and values", ""},
		{"text for a section", "tls: " + marker + "\n", ":1: tls must be keys and values", ""},
		{"text for an entry", "users: [" + marker + "]\n", ":1: users[0] must be keys and values", ""},
		{"text for a member list", "groups: [{name: g, members: " + marker + "}]\n", ":1: groups[0].members must be a list", ""},
		{"text for yes or no", "users: [{username: a, disabled: " + marker + "}]\n", ":1: true or false is wanted here", ""},
		{"text for a number", "password_hash: {memory_kib: " + marker + "}\n", ":1: a number is wanted here", ""},
		{"list for the file", "- " + marker + "\n", ":1: the file must be keys and values", ""},
		{"text for the file", marker + "\n", ":1: the file must be keys and values", ""},

		// No YAML, or too much of it.
		{"key twice", "listen: \":1\"\nlisten: " + marker + "\n", `:2: mapping key "listen" already defined at [1:1]`, ""},
		{"key twice in a section", "log:\n  level: info\n  level: " + marker + "\n", `:3: mapping key "level" already defined at [2:3]`, ""},
		{"two documents", "listen: \":1\"\n---\nlisten: " + marker + "\n", ": more than one YAML document in the file", ""},
		{"tab", "log:\n\tlevel: " + marker + "\n", ":2: ", ""},
		{"open quote", "issuer: \"" + marker + "\n", ":1: could not find end character of double-quoted text", ""},
		{"open brace", "log: {level: " + marker + "\n", ":1: could not find flow mapping end token '}'", ""},
		{"two colons", "issuer: " + marker + ": " + marker + "\n", ":1: mapping value is not allowed in this context", ""},
		{"indentation", "users:\n  - username: a\n   email: " + marker + "\n", ":3: value is not allowed in this context", ""},

		// A value that is of the kind and wrong.
		{"issuer http", "issuer: http://id.example.com\n", `: issuer "http://id.example.com" must begin with https://`, ""},
		{"issuer slash", "issuer: https://id.example.com/\n", `: issuer "https://id.example.com/" ends with a slash; leave it out, here and in every client`, ""},
		{"issuer query", "issuer: https://id.example.com?x\n", `: issuer "https://id.example.com?x" must have no query and no fragment`, ""},
		{"listen", "listen: localhost\n", `: listen: "localhost" is not HOST:PORT`, ""},
		{"listen port", "listen: localhost:99999\n", `: listen: "localhost:99999" has no port between 0 and 65535`, ""},
		{"half a certificate", "tls: {certificate: a}\n", ": tls: certificate and key go together", ""},
		{"half a key", "tls: {key: a}\n", ": tls: certificate and key go together", ""},
		{"two keys", "key_encryption_key: {file: a, environment: B}\n", ": key_encryption_key: give a file or an environment variable, not both", ""},
		{"algorithm", "signing_alg: EdDSA\n", `: signing_alg: unknown signing algorithm "EdDSA"; RS256 and ES256 are offered, EdDSA is refused by API servers`, ""},
		{"groups claim of the protocol", "groups_claim: sub\n", `: groups_claim: claim "sub" belongs to the protocol and cannot hold the groups`, ""},
		{"groups claim with a meaning", "groups_claim: email\n", `: groups_claim: claim "email" has a meaning of its own and cannot hold the groups`, ""},
		{"log level", "log: {level: loud}\n", `: log: unknown level "loud"; debug, info, warn and error are known`, ""},
		{"log format", "log: {format: xml}\n", `: log: unknown format "xml"; text and json are known`, ""},
		{"argon2 memory", "password_hash: {memory_kib: 4}\n", ": password_hash: argon2 memory of 4 KiB is outside 8 × threads to 1048576", ""},
		{"argon2 threads", "password_hash: {threads: 65}\n", ": password_hash: argon2 threads of 65 are outside 1 to 64", ""},
		{"password policy too short", "password_policy: {min_length: 7}\n", ": password_policy: min_length of 7 is outside 8 to 128", ""},
		{"password policy of zero", "password_policy: {min_length: 0}\n", ": password_policy: min_length of 0 is outside 8 to 128", ""},
		{"password policy class", "password_policy: {require: [emoji]}\n", `: password_policy: require: unknown class "emoji"; known are lowercase, uppercase, digit, symbol`, ""},
		{"password policy class twice", "password_policy: {require: [digit, digit]}\n", `: password_policy: require: "digit" is given twice`, ""},
		{"password policy history", "password_policy: {history: 11}\n", ": password_policy: history of 11 is outside 0 to 10", ""},
		{"lockout", "password_policy: {lockout: {failures: -1}}\n", ": password_policy: lockout.failures of -1 is outside 0 to 1000; 0 is off", ""},
		{"lockout for ever", "password_policy: {lockout: {for: 0s}}\n", ":1: a duration is wanted here, such as 90s, 15m, 12h or 30d", ""},
		{"lifetimes cross", "lifetimes: {refresh_idle: 2d, refresh_absolute: 1d}\n", ": lifetimes: refresh_idle is longer than refresh_absolute", ""},

		// What is declared.
		{"user name", "users: [{username: a@b}]\n", `: users[0]: user name "a@b" contains @, / or :, which a user name may not; the e-mail address has a place of its own`, ""},
		{"user name of Kubernetes", "users: [{username: \"system:admin\"}]\n", `: users[0]: user name "system:admin" begins with system:, which Kubernetes keeps for itself`, ""},
		{"user without a name", "users: [{email: a@example.com}]\n", ": users[0]: a user name cannot be empty", ""},
		{"user twice", "users: [{username: alice}, {username: Alice}]\n", `: users[1]: user "Alice" is declared twice`, ""},
		{"address twice", "users: [{username: a, email: x@example.com}, {username: b, email: X@example.com}]\n", `: users[1]: e-mail address "X@example.com" is declared twice`, ""},
		{"address", "users: [{username: a, email: A <a@example.com>}]\n", `: users[0]: "A <a@example.com>" is not an e-mail address`, ""},
		{"password instead of its hash", "users: [{username: a, password_hash: " + marker + "}]\n", ": users[0]: not a password hash: argon2id ($argon2id$…) and bcrypt ($2a$, $2b$, $2y$) are known", ""},
		{"group", "groups: [{name: \"system:masters\"}]\n", `: groups[0]: group name "system:masters" begins with system:, which Kubernetes keeps for itself`, ""},
		{"group twice", "groups: [{name: g}, {name: g}]\n", `: groups[1]: group "g" is declared twice`, ""},
		{"client without an ID", "clients: [{public: true, redirect_uris: [http://localhost]}]\n", ": clients[0]: a client ID cannot be empty", ""},
		{"client without a redirect URI", "clients: [{id: a, public: true}]\n", ": clients[0]: a client needs at least one redirect URI", ""},
		{"client twice", "clients: [{id: a, public: true, redirect_uris: [http://localhost]}, {id: a, public: true, redirect_uris: [http://localhost]}]\n", `: clients[1]: client "a" is declared twice`, ""},
		{"redirect URI", "clients: [{id: a, public: true, redirect_uris: [http://example.com/]}]\n", `: clients[0]: redirect URI "http://example.com/" is http; only loopback addresses may do without https`, ""},
		{"scope", "clients: [{id: a, public: true, redirect_uris: [http://localhost], scopes: [openid, admin]}]\n", `: clients[0]: unknown scope "admin"; known are openid profile email groups offline_access`, ""},
		{"scopes without openid", "clients: [{id: a, public: true, redirect_uris: [http://localhost], scopes: [email]}]\n", ": clients[0]: the scopes of a client must include openid", ""},
		{"public with a secret", "clients: [{id: a, public: true, secret_environment: A, redirect_uris: [http://localhost]}]\n", ": clients[0]: a public client has no secret", ""},
		{"no secret", "clients: [{id: a, redirect_uris: [http://localhost]}]\n", ": clients[0]: give one of secret_file, secret_environment and secret_hash, or public: true", ""},
		{"two secrets", "clients: [{id: a, secret_environment: A, secret_file: b, redirect_uris: [http://localhost]}]\n", ": clients[0]: give one of secret_file, secret_environment and secret_hash, or public: true", ""},
		{"secret instead of its hash", "clients: [{id: a, secret_hash: " + marker + ", redirect_uris: [http://localhost]}]\n", ": clients[0]: secret_hash is not sha256: and 64 hexadecimal digits", ""},
		{"public and a method", "clients: [{id: a, public: true, authentication: private_key_jwt, redirect_uris: [http://localhost]}]\n", ": clients[0]: a public client does not authenticate with private_key_jwt; leave out public or authentication", ""},
		{"unknown method", "clients: [{id: a, authentication: magic, redirect_uris: [http://localhost]}]\n", `: clients[0]: unknown client authentication "magic"; known are none, client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth`, ""},
		{"method and no secret", "clients: [{id: a, authentication: client_secret_post, redirect_uris: [http://localhost]}]\n", ": clients[0]: give one of secret_file, secret_environment and secret_hash, or public: true", ""},
		{"secret that nobody reads", "clients: [{id: a, authentication: none, secret_environment: A, redirect_uris: [http://localhost]}]\n", ": clients[0]: a client that authenticates with none has no secret", ""},
		{"no keys", "clients: [{id: a, authentication: private_key_jwt, redirect_uris: [http://localhost]}]\n", ": clients[0]: a client that authenticates with private_key_jwt needs its public keys (JWKS)", ""},
		{"TLS subject", "clients: [{id: a, authentication: tls_client_auth, tls_subject: \"dns:*.example.com\", redirect_uris: [http://localhost]}]\n", `: clients[0]: TLS subject "dns:*.example.com" holds no name of the kind dns`, ""},
		{"grant", "clients: [{id: a, public: true, grants: [implicit], redirect_uris: [http://localhost]}]\n", `: clients[0]: unknown grant "implicit"; known are authorization_code, refresh_token, client_credentials, password, device_code, token_exchange`, ""},
		{"public machine", "clients: [{id: a, public: true, grants: [client_credentials]}]\n", ": clients[0]: the grant client_credentials needs a client that proves who it is; this one is public", ""},
		{"audiences", "clients: [{id: a, public: true, audiences: [b], redirect_uris: [http://localhost]}]\n", ": clients[0]: audiences are for the grant token_exchange, which the client may not use", ""},
		{"origin", "clients: [{id: a, public: true, origins: [\"*\"], redirect_uris: [http://localhost]}]\n", `: clients[0]: origin "*" stands for every page; name each one`, ""},
		{"after a logout", "clients: [{id: a, public: true, post_logout_redirect_uris: [\"http://a.example/\"], redirect_uris: [http://localhost]}]\n", `: clients[0]: post-logout redirect URI "http://a.example/" is http; only loopback addresses may do without https`, ""},
		{"consent", "clients: [{id: a, public: true, consent: maybe, redirect_uris: [http://localhost]}]\n", `: clients[0]: unknown consent "maybe"; known are always and never`, ""},
		{"groups filter", "clients: [{id: a, public: true, groups_filter: \"(\", redirect_uris: [http://localhost]}]\n", ": clients[0]: groups filter \"(\": error parsing regexp: missing closing ): `(`", ""},
		{"groups prefix", "clients: [{id: a, public: true, groups_prefix: \"system:\", redirect_uris: [http://localhost]}]\n", `: clients[0]: groups prefix "system:" begins with system:, which Kubernetes keeps for itself`, ""},
		{"claim", "clients: [{id: a, public: true, redirect_uris: [http://localhost], claims: [{name: sub, value: root}]}]\n", `: clients[0]: claim "sub" belongs to the protocol and cannot be set`, ""},
		{"claim twice", "clients: [{id: a, public: true, redirect_uris: [http://localhost], claims: [{name: a, value: 1}, {name: a, value: 2}]}]\n", `: clients[0]: claims[1]: claim "a" is given twice`, ""},
		{"claim of nothing", "clients: [{id: a, public: true, redirect_uris: [http://localhost], claims: [{name: a}]}]\n", `: clients[0]: claim "a" needs one of value, attribute and expression`, ""},
		{"expression", "clients: [{id: a, public: true, redirect_uris: [http://localhost], claims: [{name: a, expression: \"user.groups +\"}]}]\n", `: clients[0]: claim "a": the expression is wrong at 1:14: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}`, ""},
		{"key in a claim", "clients: [{id: a, claims: [{name: a, expresion: x}]}]\n", `:1: clients[0].claims[0] has no key "expresion"`, `did you mean "expression"?`},
		{"client lifetimes cross", "clients: [{id: a, public: true, redirect_uris: [http://localhost], lifetimes: {refresh_idle: 2d, refresh_absolute: 1d}}]\n", ": clients[0]: refresh_idle is longer than refresh_absolute", ""},
		{"access token algorithm", "clients: [{id: a, public: true, access_token_alg: HS256, redirect_uris: [http://localhost]}]\n", `: clients[0]: unknown signing algorithm "HS256"; RS256 and ES256 are offered, EdDSA is refused by API servers`, ""},
		{"password grant that is off", "clients: [{id: a, public: true, grants: [password]}]\n", "", "add password_grant: true to the file, or take the grant from the client"},
		{"certificates that nobody asks for", "clients: [{id: a, authentication: tls_client_auth, tls_subject: CN=a, grants: [client_credentials]}]\n", "", "name the authorities that vouch for certificates of clients: tls: {client_ca: FILE}"},
		{"client algorithm", "clients: [{id: a, public: true, signing_alg: none, redirect_uris: [http://localhost]}]\n", `: clients[0]: unknown signing algorithm "none"; RS256 and ES256 are offered, EdDSA is refused by API servers`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := check(t, test.file)
			if got.code != exit.Usage || got.stdout != "" {
				t.Errorf("ended with %d and %q on standard output, want 2 and nothing", got.code, got.stdout)
			}
			message, hint, _ := strings.Cut(strings.TrimPrefix(got.stderr, "error: tegata.yaml"), "\n")
			hint = strings.TrimSuffix(strings.TrimPrefix(hint, "hint: "), "\n")
			// Where the words are the YAML library's, only the place counts.
			if test.want == "" { // not the file's alone
				message = ""
			}
			if message != test.want && !(strings.HasSuffix(test.want, ": ") && strings.HasPrefix(message, test.want)) {
				t.Errorf("message\n got %q\nwant %q", message, test.want)
			}
			if test.hint != "" && hint != test.hint {
				t.Errorf("hint\n got %q\nwant %q", hint, test.hint)
			}
			if strings.Contains(got.stderr, marker) {
				t.Errorf("the message repeats what stands in the file:\n%s", got.stderr)
			}
		})
	}
}

// What can be wrong with a source, most of all with a directory.
func TestConfigCheckRefusesASource(t *testing.T) {
	const users = ", users: {base_dn: 'dc=example'}"
	ldap := func(block string) string { return "sources: [{name: corp, ldap: {" + block + "}}]\n" }
	for _, test := range []struct{ name, file, want string }{
		{"no name", "sources: [{title: Corp}]\n", `sources[0]: name "" is not of at most 40 small letters, digits and hyphens`},
		{"name with a colon", "sources: [{name: 'a:b'}]\n", `sources[0]: name "a:b" is not of at most 40`},
		{"name twice", "sources: [{name: local}, {name: local}]\n", `sources[1]: name "local" is given twice`},
		{"of no kind", "sources: [{name: corp}]\n", "sources[0]: corp: it has no block that says what it is"},
		{"the name of the local accounts", "sources: [{name: local, ldap: {servers: [ldaps://a]" + users + "}}]\n", "sources[0]: local: this is the name of the local accounts"},
		{"local accounts with a prefix", "sources: [{name: local, groups_prefix: 'x:'}]\n", "sources[0]: local: it takes title and email_domains, and nothing else"},
		{"a prefix of Kubernetes", "sources: [{name: corp, groups_prefix: 'system:', ldap: {}}]\n", "sources[0]: corp: names that begin with system: belong to Kubernetes"},
		{"an address for a domain", "sources: [{name: local, email_domains: [a@example.com]}]\n", `sources[0]: local: email_domains: "a@example.com" is no domain`},
		{"a domain of two", "sources: [{name: local, email_domains: [a.example]}, {name: corp, email_domains: [A.example], ldap: {}}]\n", "sources[1]: corp: email_domains: a.example belongs to the source local already"},
		{"keep_for without a unit", "sources: [{name: corp, keep_for: 1, ldap: {}}]\n", "a duration is wanted here"},
		{"users without the local accounts", "users: [{username: alice}]\n" + ldap("servers: [ldaps://a]"+users), "users are declared, but sources does not list local"},
		{"a subject of a source", "users: [{username: alice, subject: 'corp:1'}]\nsources: [{name: local}, {name: corp, ldap: {servers: [ldaps://a]" + users + "}}]\n", `user "alice" has the subject "corp:1", which would be one of the source corp`},
		{"a client of another source", "clients: [{id: a, public: true, redirect_uris: [http://localhost], sources: [crop]}]\n" + ldap("servers: [ldaps://a]"+users), `client "a" is for users of the source "crop", which sources does not list`},

		{"no server", ldap("servers: []" + users), "corp: ldap: servers must name at least one, such as ldaps://ldap.example.com"},
		{"a host without a scheme", ldap("servers: [ldap.example.com]" + users), `corp: ldap: "ldap.example.com" is no server`},
		{"plaintext that nobody allowed", ldap("servers: ['ldap://a']" + users), "corp: ldap: ldap://a would carry passwords in the clear; use ldaps://, or start_tls: true"},
		{"plaintext and StartTLS", ldap("servers: ['ldap://a'], start_tls: true, plaintext: true" + users), "corp: ldap: start_tls secures the connection and plaintext does not"},
		{"layout", ldap("servers: [ldaps://a], layout: novell" + users), `corp: ldap: layout: there is no layout "novell"; openldap, active-directory and freeipa are known`},
		{"no base", ldap("servers: [ldaps://a]"), "corp: ldap: users.base_dn says below which entry the users are"},
		{"a base that is none", ldap("servers: [ldaps://a], users: {base_dn: example.com}"), `corp: ldap: users.base_dn: "example.com" is no distinguished name`},
		{"the name for an ID", ldap("servers: [ldaps://a], users: {base_dn: 'dc=example', id: DN}"), "corp: ldap: users.id must name an attribute"},
		{"a filter that is none", ldap("servers: [ldaps://a], users: {base_dn: 'dc=example', filter: '(uid='}"), `corp: ldap: users.filter: "(uid=" is no filter`},
		{"groups of nowhere", ldap("servers: [ldaps://a], groups: {nested: walk}" + users), "corp: ldap: groups.base_dn says below which entry the groups are"},
		{"unknown nesting", ldap("servers: [ldaps://a], groups: {base_dn: 'dc=example', nested: deep}" + users), `corp: ldap: groups.nested is "deep"; walk and in-chain are known`},
		{"half a matcher", ldap("servers: [ldaps://a], groups: {base_dn: 'dc=example', matchers: [{user: dn}]}" + users), "corp: ldap: each of groups.matchers needs user and group"},
		{"unknown change of passwords", ldap("servers: [ldaps://a], password_change: mail" + users), `corp: ldap: password_change: there is no way "mail"; extended and unicode are known`},
		{"a password and no account", ldap("servers: [ldaps://a], bind_password_file: a" + users), "corp: ldap: bind_dn and its password"},
		{"an account and no password", ldap("servers: [ldaps://a], bind_dn: cn=a" + users), "corp: ldap: bind_dn and its password"},
		{"two passwords", ldap("servers: [ldaps://a], bind_dn: cn=a, bind_password_file: a, bind_password_environment: A" + users), "corp: ldap: give bind_password_file or bind_password_environment, not both"},
		{"a password in the place of its variable", ldap("servers: [ldaps://a], bind_dn: cn=a, bind_password_environment: '" + marker + "!'" + users), "corp: ldap: bind_password_environment must be the name of an environment variable, not its value"},
		{"a password in the file", ldap("servers: [ldaps://a], bind_password: " + marker + users), `sources[0].ldap has no key "bind_password"`},
		{"half a certificate", ldap("servers: [ldaps://a], client_certificate: a" + users), "corp: ldap: client_certificate and client_key go together"},
		{"an authority that is not there", ldap("servers: [ldaps://a], ca: gone.crt" + users), "error: source corp: ca: open "},
		{"an authority that is none", ldap("servers: [ldaps://a], ca: tegata.yaml" + users), "tegata.yaml holds no certificate in PEM"},
		{"a variable that is empty", ldap("servers: [ldaps://a], bind_dn: cn=a, bind_password_environment: TEST_NOTHING" + users), "error: source corp: bind_password: TEST_NOTHING is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := check(t, test.file)
			if got.code != exit.Usage || got.stdout != "" || !strings.Contains(got.stderr, test.want) {
				t.Errorf("got %d %q, want 2 and %q", got.code, got.stderr, test.want)
			}
			if strings.Contains(got.stderr, marker) {
				t.Errorf("the message repeats what stands in the file:\n%s", got.stderr)
			}
		})
	}
	for _, layout := range []string{"openldap", "active-directory", "freeipa"} {
		check(t, ldap("servers: [ldaps://a], layout: "+layout+users+", groups: {base_dn: 'dc=example'}")).must(t)
	}
}

// check runs config check on a file of this text, in its folder.
func check(t *testing.T, text string) result {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tegata.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return tegata(t, nil, "", "config", "check", "tegata.yaml")
}

func TestConfigCheckAccepts(t *testing.T) {
	for _, test := range []struct{ name, file string }{
		{"empty file", ""},
		{"comments alone", "# nothing yet\n"},
		{"empty document", "---\n"},
		{"empty section", "tls:\nlog:\n"},
		{"line ends of another system", "listen: \":1\"\r\nlog:\r\n  level: info\r\n"},
		{"every duration", "lifetimes: {code: 90s, id_token: 15m, session: 12h, refresh_absolute: 30d}\n"},
		{"bcrypt", "users: [{username: a, password_hash: $2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy}]\n"},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, test.file).must(t) })
	}
}

// What the file says of a wrong duration or number: the place, in our words.
func TestConfigCheckNamesTheLineOfAWrongNumber(t *testing.T) {
	for _, test := range []struct{ name, file string }{
		{"no duration", "log: {level: info}\nlifetimes: {id_token: " + marker + "}\n"},
		{"duration without a unit", "log: {level: info}\nlifetimes: {id_token: 15}\n"},
		{"duration of nothing", "log: {level: info}\nlifetimes: {id_token: 0s}\n"},
		{"duration below nothing", "log: {level: info}\nlifetimes: {id_token: -5m}\n"},
		{"duration of eternity", "log: {level: info}\nlifetimes: {id_token: 106751991167300d}\n"},
		{"number below nothing", "log: {level: info}\npassword_hash: {memory_kib: -5}\n"},
		{"number too large", "log: {level: info}\npassword_hash: {threads: 300}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := check(t, test.file)
			if got.code != exit.Usage || !strings.HasPrefix(got.stderr, "error: tegata.yaml:2: ") {
				t.Errorf("got %d %q, want 2 and a message that begins with tegata.yaml:2", got.code, got.stderr)
			}
			if strings.Contains(got.stderr, marker) || strings.Contains(got.stderr, "Go value") || strings.Contains(got.stderr, "uint") {
				t.Errorf("the message quotes the value or speaks of Go: %q", got.stderr)
			}
		})
	}
}

func TestConfigCheckRefusesASubjectTwice(t *testing.T) {
	got := check(t, "users: [{username: a, subject: s}, {username: b, subject: s}]\n")
	if got.code != exit.Usage {
		t.Errorf("ended with %d, want 2: two people with one subject are one person to every cluster\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// OpenID Connect Core 1.0, section 2: sub has at most 255 ASCII characters.
func TestConfigCheckRefusesASubjectThatNoTokenCanCarry(t *testing.T) {
	for _, subject := range []string{strings.Repeat("s", 256), `"\u0000"`, "日本"} {
		if got := check(t, "users: [{username: a, subject: "+subject+"}]\n"); got.code != exit.Usage {
			t.Errorf("subject of %d bytes: ended with %d, want 2", len(subject), got.code)
		}
	}
}

func TestConfigCheckAcceptsAnEmptyList(t *testing.T) {
	// All entries commented out; an empty section is accepted too.
	if got := check(t, "users:\n#  - username: alice\nclients: []\n"); got.code != exit.Done {
		t.Errorf("ended with %d, want 0: %s", got.code, got.stderr)
	}
}

func TestConfigCheckAcceptsAByteOrderMark(t *testing.T) {
	if got := check(t, "\ufefflog: {level: info}\n"); got.code != exit.Done {
		t.Errorf("ended with %d, want 0: %s", got.code, got.stderr)
	}
}

// A person may write the secret where its place belongs.
func TestConfigCheckDoesNotQuoteASecretInTheWrongPlace(t *testing.T) {
	for _, file := range []string{
		"clients: [{id: a, redirect_uris: [http://localhost], secret_environment: " + marker + "/+=}]\n",
		"key_encryption_key: {environment: " + marker + "/+=}\n",
	} {
		if got := check(t, file); got.code != exit.Usage || strings.Contains(got.stderr, marker) {
			t.Errorf("got %d %q, want 2 and nothing of the value: it is no name of an environment variable", got.code, got.stderr)
		}
	}
}

// FuzzConfig feeds the decoder anything. It must not panic, and whatever
// stands in the place of a secret must not be in a message.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "issuer: %s\n", "users:\n- username: a\n  password_hash: %s\n", "clients: [{id: a, secret_hash: %s}]\n",
		"a: &x %s\nb: *x\n", "? %s\n: b\n", "--- %s\n--- !!binary %s\n", "lifetimes: {id_token: 15m}\n\t%s", "\"%s", "{[%s",
		"users: !!seq [%s]\n", "tls: {certificate: |\n  %s\n", "password_hash: {memory_kib: 0x%s}\n", "%%YAML 1.2\n---\nkey: %s",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Keys may be quoted, and so may what is no secret; a hash may not.
		for _, file := range []string{
			text,
			"users:\n- username: a\n  password_hash: '" + marker + "'\n" + text,
			"clients:\n- id: a\n  redirect_uris: ['http://localhost']\n  secret_hash: \"" + marker + "\"\n" + text,
			"users: [{username: a, password_hash: " + marker + "}]\n" + text,
		} {
			if err := admin.DecodeConfig([]byte(file)); err != nil && !strings.Contains(text, marker) && strings.Contains(err.Error(), marker) {
				t.Errorf("a secret of the file is in the message:\n%s\nfile:\n%s", err, file)
			}
		}
	})
}

// The password ends where the line does, on each system.
func TestPasswordFromStandardInputIsOneLine(t *testing.T) {
	dir := t.TempDir()
	cheap := filepath.Join(dir, "cheap.yaml")
	if err := os.WriteFile(cheap, []byte("password_hash: {memory_kib: 8, time: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hasher, err := local.NewHasher(local.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, stdin, want string }{
		{"line feed", "correct horse\n", "correct horse"},
		{"carriage return", "correct horse\r\n", "correct horse"},
		{"no line end", "correct horse", "correct horse"},
		{"more lines", "correct horse\nbattery\n", "correct horse"},
		{"spaces stay", "  correct horse \n", "  correct horse "},
		{"characters, not bytes", "じしょのことば\u3000\n", "じしょのことば\u3000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := tegata(t, nil, test.stdin, "user", "hash-password", "--password-stdin", "--config", cheap).must(t)
			hash := strings.TrimSpace(out.stdout)
			if ok, err := hasher.Check(t.Context(), hash, secret.New(test.want)); err != nil || !ok {
				t.Errorf("the hash is not of %q: %v", test.want, err)
			}
		})
	}
}

func TestClientAddRefusesRedirectURI(t *testing.T) {
	dir := t.TempDir()
	for _, uri := range []string{
		"", "localhost:8000", "/callback", "http://example.com/", "https://example.com/#x", "https://user@example.com/",
		"https://*.example.com/", "javascript:alert(1)", "data:text/html,x", "https://", "http://localhost:8000/ x", "ftp://example.com/",
		"HTTP://example.com",
	} {
		got := tegata(t, nil, "", "client", "add", "a", "--public", "--redirect-uri", uri, "--data-dir", dir)
		if got.code != exit.Usage || !strings.HasPrefix(got.stderr, fmt.Sprintf("error: redirect URI %q ", uri)) {
			t.Errorf("%q: got %d %q, want 2 and a message that names it", uri, got.code, got.stderr)
		}
	}
	got := tegata(t, nil, "", "client", "add", "a", "--public", "--data-dir", dir)
	if want := "error: a client needs at least one redirect URI\nhint: for kubectl, add: --redirect-uri http://localhost:8000\n"; got.stderr != want {
		t.Errorf("got %q, want %q", got.stderr, want)
	}
}

// A value that begins with * is an alias to YAML, and a password to a person.
func TestConfigCheckDoesNotQuoteAnAlias(t *testing.T) {
	got := check(t, "clients:\n- id: a\n  secret_hash: *"+marker+"\n")
	if got.code != exit.Usage || strings.Contains(got.stderr, marker) {
		t.Errorf("got %d %q, want 2 and nothing of the value", got.code, got.stderr)
	}
}
