// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"errors"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

func valid(t testing.TB) Config {
	t.Helper()
	users, groups, err := Defaults(OpenLDAP)
	if err != nil {
		t.Fatal(err)
	}
	users.BaseDN, groups.BaseDN = "ou=people,dc=example,dc=com", "ou=groups,dc=example,dc=com"
	return Config{Name: "lab", Servers: []string{"ldaps://ldap.example.com"}, Users: users, Groups: groups}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no name":             {func(c *Config) { c.Name = "" }, "needs a name"},
		"colon in the name":   {func(c *Config) { c.Name = "a:b" }, "without spaces and colons"},
		"no server":           {func(c *Config) { c.Servers = nil }, "servers must name at least one"},
		"host alone":          {func(c *Config) { c.Servers = []string{"ldap.example.com"} }, "is no server"},
		"https":               {func(c *Config) { c.Servers = []string{"https://ldap.example.com"} }, "must begin with ldaps:// or ldap://"},
		"a path":              {func(c *Config) { c.Servers = []string{"ldaps://ldap.example.com/dc=example"} }, "is no server"},
		"in the clear":        {func(c *Config) { c.Servers = []string{"ldap://ldap.example.com"} }, "in the clear"},
		"password alone":      {func(c *Config) { c.BindPassword = secret.New("x") }, "go together"},
		"account alone":       {func(c *Config) { c.BindDN = "cn=a" }, "go together"},
		"no base":             {func(c *Config) { c.Users.BaseDN = "" }, "users.base_dn"},
		"bad base":            {func(c *Config) { c.Users.BaseDN = "people" }, "no distinguished name"},
		"bad filter":          {func(c *Config) { c.Users.Filter = "(uid=" }, "users.filter"},
		"bad groups' filter":  {func(c *Config) { c.Groups.Filter = "objectClass" }, "groups.filter"},
		"no login":            {func(c *Config) { c.Users.Login = nil }, "must name attributes"},
		"an odd attribute":    {func(c *Config) { c.Users.Login = []string{"uid)(x"} }, "no name of an attribute"},
		"no group name":       {func(c *Config) { c.Groups.Name = "" }, "groups.name"},
		"no matcher":          {func(c *Config) { c.Groups.Matchers = nil }, "groups.matchers"},
		"half a matcher":      {func(c *Config) { c.Groups.Matchers = []Matcher{{"dn", ""}} }, "needs user and group"},
		"unknown nesting":     {func(c *Config) { c.Groups.Nested = "deep" }, "walk and in-chain"},
		"nesting by number":   {func(c *Config) { c.Groups.Matchers, c.Groups.Nested = []Matcher{{"uid", "memberUid"}}, Walk }, "matcher with user: dn"},
		"nesting of nowhere":  {func(c *Config) { c.Groups.BaseDN, c.Groups.MemberOf, c.Groups.Nested = "", "memberOf", Walk }, "needs groups.base_dn"},
		"unknown change":      {func(c *Config) { c.Passwords = "sql" }, "extended and unicode"},
		"time runs backwards": {func(c *Config) { c.Timeout = -1 }, "positive"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid(t)
			test.change(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(valid(t)); err != nil {
		t.Errorf("the valid one: %v", err)
	}
	if _, _, err := Defaults("notes"); err == nil {
		t.Error("an unknown layout has defaults")
	}
	for _, layout := range []Layout{OpenLDAP, ActiveDirectory, FreeIPA} {
		users, groups, err := Defaults(layout)
		users.BaseDN, groups.BaseDN = "dc=example,dc=com", "dc=example,dc=com"
		if _, newErr := New(Config{Name: "x", Servers: []string{"ldaps://x"}, Users: users, Groups: groups}); err != nil || newErr != nil {
			t.Errorf("%s: %v, %v", layout, err, newErr)
		}
	}
}

// The answers of Active Directory are those that its documentation lists
// ("Common Active Directory Bind Errors").
func TestReasonsOfARefusal(t *testing.T) {
	directory := func(data string) error {
		return ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data "+data+", v1db1"))
	}
	policy := func(code int8) *ldap.SimpleBindResult {
		control := ldap.NewControlBeheraPasswordPolicy()
		control.Error = code
		return &ldap.SimpleBindResult{Controls: []ldap.Control{control}}
	}
	wrong := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New(""))
	for _, test := range []struct {
		name   string
		result *ldap.SimpleBindResult
		err    error
		want   error
	}{
		{"accepted", nil, nil, nil},
		{"accepted, with a policy that says nothing", policy(-1), nil, nil},
		{"accepted, must change", policy(2), nil, identity.ErrPasswordExpired},
		{"accepted, expired", policy(0), nil, identity.ErrPasswordExpired},
		{"wrong", nil, wrong, identity.ErrWrongCredentials},
		{"wrong, with a policy that says nothing", policy(-1), wrong, identity.ErrWrongCredentials},
		{"locked", policy(1), wrong, identity.ErrLocked},
		{"expired", policy(0), wrong, identity.ErrPasswordExpired},
		{"AD wrong", nil, directory("52e"), identity.ErrWrongCredentials},
		{"AD no such user", nil, directory("525"), identity.ErrWrongCredentials},
		{"AD expired", nil, directory("532"), identity.ErrPasswordExpired},
		{"AD must change", nil, directory("773"), identity.ErrPasswordExpired},
		{"AD disabled", nil, directory("533"), identity.ErrDisabled},
		{"AD account expired", nil, directory("701"), identity.ErrDisabled},
		{"AD locked", nil, directory("775"), identity.ErrLocked},
		{"AD another", nil, directory("1"), identity.ErrWrongCredentials},
		{"389 disabled", nil, ldap.NewError(ldap.LDAPResultUnwillingToPerform, errors.New("Account inactivated")), identity.ErrDisabled},
		{"389 locked", nil, ldap.NewError(ldap.LDAPResultConstraintViolation, errors.New("Exceed password retry limit")), identity.ErrLocked},
		{"no entry", nil, ldap.NewError(ldap.LDAPResultNoSuchObject, errors.New("")), identity.ErrWrongCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := judge(test.result, test.err); !errors.Is(got, test.want) || (got == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if err := judge(nil, ldap.NewError(ldap.LDAPResultOperationsError, errors.New("x"))); err == nil || errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("an error of the server: got %v", err)
	}
}

func TestAccountsThatAreOver(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		attribute, value string
		want             bool
	}{
		{"userAccountControl", "512", false},
		{"userAccountControl", "514", true},
		{"useraccountcontrol", "66050", true},
		{"userAccountControl", "", false},
		{"accountExpires", "0", false},
		{"accountExpires", "9223372036854775807", false},
		{"accountExpires", "133000000000000000", true},  // in 2022
		{"accountExpires", "135000000000000000", false}, // in 2028
		{"nsAccountLock", "TRUE", true},
		{"nsAccountLock", "false", false},
		{"pwdAccountLockedTime", "000001010000Z", true},
		{"pwdAccountLockedTime", "20261122000000Z", false},
		{"krbPrincipalExpiration", "20261121235959Z", true},
		{"krbPrincipalExpiration", "20261122000001Z", false},
	} {
		entry := ldap.NewEntry("uid=x", map[string][]string{test.attribute: {test.value}})
		if got := disabled(entry, now); got != test.want {
			t.Errorf("%s: %s: got %v, want %v", test.attribute, test.value, got, test.want)
		}
	}
}

// The example is of MS-DTYP, section 2.3.4: the first three parts are
// little-endian.
func TestObjectGUID(t *testing.T) {
	c := valid(t)
	c.Users.ID = "objectGUID"
	source, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	entry := &ldap.Entry{DN: "cn=x", Attributes: []*ldap.EntryAttribute{{Name: "objectGUID", ByteValues: [][]byte{raw}, Values: []string{string(raw)}}}}
	id, err := source.id(entry)
	if want := "00112233-4455-6677-8899-aabbccddeeff"; err != nil || id != want {
		t.Fatalf("got %s, %v; want %s", id, err, want)
	}
	filter, ok := source.idFilter(id)
	if want := `(objectGUID=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)`; !ok || filter != want {
		t.Errorf("got %s, want %s", filter, want)
	}
	for _, wrong := range []string{"", "x", "00112233", "*", id + "00"} {
		if filter, ok := source.idFilter(wrong); ok {
			t.Errorf("%q: got %s, want it refused", wrong, filter)
		}
	}
	entry.Attributes[0].ByteValues[0] = raw[:8]
	if _, err := source.id(entry); err == nil {
		t.Error("half a GUID is an ID")
	}
}

func TestPasswordsInUTF16(t *testing.T) {
	if got, want := quotedUTF16(secret.New("né😀")), "\"\x00n\x00\xe9\x00\x3d\xd8\x00\xde\"\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpellingsOfOneName(t *testing.T) {
	for _, other := range []string{"CN=Admins,OU=Groups,DC=Example,DC=COM", "cn=admins, ou=groups, dc=example, dc=com", "cn=admins,ou=groups,dc=example,dc=com"} {
		if got, want := normalize(other), "cn=admins,ou=groups,dc=example,dc=com"; got != want {
			t.Errorf("%s: got %s, want %s", other, got, want)
		}
	}
}

// Whatever is typed, the filter compares with exactly that.
func FuzzLoginFilter(f *testing.F) {
	for _, seed := range []string{"alice", "josé", "j(x)", "a*b", `back\slash`, " alice ", "\x00", "alice)(uid=*", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, login string) {
		packet, err := ldap.CompileFilter(equal("uid", login))
		if err != nil {
			t.Fatalf("%q makes no filter: %v", login, err)
		}
		if packet.Tag != ber.Tag(ldap.FilterEqualityMatch) && login != "" {
			t.Fatalf("%q makes another kind of filter: %s", login, ldap.FilterMap[uint64(packet.Tag)])
		}
		if len(packet.Children) != 2 || packet.Children[0].Data.String() != "uid" || packet.Children[1].Data.String() != login {
			t.Errorf("%q: got %q", login, packet.Children[len(packet.Children)-1].Data.String())
		}
	})
}

func FuzzGroupName(f *testing.F) {
	f.Add("cn=admins,ou=groups,dc=example,dc=com")
	f.Add(`cn=a\,b+uid=x,dc=example`)
	f.Add("cn=#04024869,dc=x")
	f.Fuzz(func(t *testing.T, dn string) {
		c := valid(t)
		source, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		_ = source.nameIn(dn)
		if once := normalize(dn); normalize(once) != once && !strings.ContainsAny(dn, `\#+`) {
			t.Errorf("%q: %q is not its own spelling", dn, once)
		}
	})
}

// Whatever a directory holds, an entry is a user or an error, and its subject
// finds the entry again.
func FuzzEntry(f *testing.F) {
	f.Add("entryUUID", "6e5f3a2c", "alice", "a@example.com", "512")
	f.Add("objectGUID", "0123456789abcdef", "j(x)", "", "9223372036854775808")
	f.Add("dn", "", "\x00", "\xff", "00000101000000Z")
	f.Fuzz(func(t *testing.T, idName, id, username, email, state string) {
		c := valid(t)
		c.Users.ID, c.Groups, c.Users.EmailSuffix = idName, Groups{}, "example.com"
		source, err := New(c)
		if err != nil {
			return // an attribute of that name cannot be configured
		}
		attributes := map[string][]string{idName: {id}, "uid": {username}, "mail": {email}}
		for _, name := range accountAttributes() {
			attributes[name] = []string{state}
		}
		user, err := source.user(t.Context(), ldap.NewEntry("uid=x,dc=example", attributes))
		if err != nil {
			return
		}
		if user.Username == "" || user.Email == "" || string(user.Subject) == "lab:" {
			t.Errorf("got %+v", user)
		}
		filter, ok := source.subjectFilter(user.Subject)
		if _, err := ldap.CompileFilter(filter); !ok || err != nil {
			t.Errorf("%s makes the filter %q, %v", user.Subject, filter, err)
		}
	})
}
