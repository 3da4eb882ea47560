// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/ldap"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/directory"
)

// person is the LDIF of a user whose password is USERNAME-password.
func person(rdn, uid, more string) string {
	return fmt.Sprintf("dn: %s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nuserPassword: %s-password\n%s\n",
		rdn, directory.People, uid, uid, uid, uid, more)
}

// group adds a group to the running server.
func group(t testing.TB, s *directory.Server, name string, members ...string) {
	t.Helper()
	s.Add(t, groupDN(name), map[string][]string{"objectClass": {"groupOfNames"}, "cn": {name}, "member": members})
}

func user(uid string) string { return "uid=" + uid + "," + directory.People }

func groupDN(name string) string { return "cn=" + name + "," + directory.GroupsBase }

// laboratory is the directory that most tests look at.
func laboratory(t testing.TB) *directory.Server {
	t.Helper()
	s := directory.Start(t, person("uid=alice", "alice", "mail: alice@example.com\n")+
		person("uid=bob", "bob", "")+ // no mail
		person("uid=josé", "josé", "mail: jose@example.com\n")+
		person("uid=j(x)", "j(x)", "")+
		person("uid=a*b", "a*b", "")+
		person("uid=axb", "axb", "")+
		person(`uid=back\\slash`, `back\slash`, "")+
		person(`cn=Doe\, Jane`, "jane", "")+
		person("uid=twin1", "twin1", "mail: twin@example.com\n")+
		person("uid=twin2", "twin2", "mail: twin@example.com\n")+
		person("uid=locked", "locked", "pwdAccountLockedTime: 000001010000Z\n")+
		person("uid=fresh", "fresh", "pwdReset: TRUE\n"))
	group(t, s, "platform-engineer", user("alice"))
	group(t, s, "everybody", user("alice"), user("bob"), `cn=Doe\, Jane,`+directory.People, user("josé"))
	group(t, s, "company", groupDN("everybody"))
	group(t, s, "holding", groupDN("company"), groupDN("platform-engineer"))
	group(t, s, "loop-a", groupDN("loop-b"), user("alice"))
	group(t, s, "loop-b", groupDN("loop-a"))
	s.Add(t, groupDN("posix"), map[string][]string{"objectClass": {"posixGroup"}, "cn": {"posix"}, "gidNumber": {"7"}, "memberUid": {"alice"}})
	return s
}

// config is how the laboratory is asked.
func config(t testing.TB, s *directory.Server) ldap.Config {
	t.Helper()
	users, groups, err := ldap.Defaults(ldap.OpenLDAP)
	if err != nil {
		t.Fatal(err)
	}
	users.BaseDN, groups.BaseDN = directory.People, directory.GroupsBase
	users.Login = []string{"uid", "mail"}
	return ldap.Config{
		Name: "lab", Servers: []string{s.LDAPS}, TLS: s.TLS(),
		BindDN: directory.SearcherDN, BindPassword: secret.New(directory.SearcherPassword),
		Users: users, Groups: groups,
	}
}

func open(t testing.TB, c ldap.Config) *ldap.Source {
	t.Helper()
	source, err := ldap.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

func logIn(t testing.TB, source *ldap.Source, login, password string) (identity.User, error) {
	t.Helper()
	return source.Authenticate(t.Context(), login, secret.New(password))
}

func TestLogins(t *testing.T) {
	server := laboratory(t)
	source := open(t, config(t, server))
	for _, test := range []struct {
		name, login, password string
		username              string // empty: refused
		err                   error
	}{
		{"plain", "alice", "alice-password", "alice", nil},
		{"by mail", "alice@example.com", "alice-password", "alice", nil},
		{"in other case", "ALICE", "alice-password", "alice", nil},
		{"without mail", "bob", "bob-password", "bob", nil},
		{"accents", "josé", "josé-password", "josé", nil},
		{"parentheses", "j(x)", "j(x)-password", "j(x)", nil},
		{"star", "a*b", "a*b-password", "a*b", nil},
		{"star is no wildcard", "a*", "a*b-password", "", identity.ErrWrongCredentials},
		{"backslash", `back\slash`, `back\slash-password`, `back\slash`, nil},
		{"comma in the DN", "jane", "jane-password", "jane", nil},
		{"wrong password", "alice", "bob-password", "", identity.ErrWrongCredentials},
		{"empty password", "alice", "", "", identity.ErrWrongCredentials},
		{"empty name", "", "alice-password", "", identity.ErrWrongCredentials},
		{"nobody", "mallory", "alice-password", "", identity.ErrWrongCredentials},
		{"everybody", "*", "alice-password", "", identity.ErrWrongCredentials},
		{"a filter", "alice)(uid=*", "alice-password", "", identity.ErrWrongCredentials},
		{"zero byte", "alice\x00", "alice-password", "", identity.ErrWrongCredentials},
		{"locked for good", "locked", "locked-password", "", identity.ErrDisabled},
		{"must change", "fresh", "fresh-password", "", identity.ErrPasswordExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, err := logIn(t, source, test.login, test.password)
			if user.Username != test.username || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v; want %q, %v", user.Username, err, test.username, test.err)
			}
		})
	}
	if user, err := logIn(t, source, "twin@example.com", "twin1-password"); err == nil || errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("an address of two people: got %v, %v; want an error that the operator sees", user, err)
	}
}

func TestWhatIsKnownOfAUser(t *testing.T) {
	server := laboratory(t)
	for name, change := range map[string]func(*ldap.Config){
		"ldaps":    func(*ldap.Config) {},
		"StartTLS": func(c *ldap.Config) { c.Servers, c.StartTLS = []string{server.LDAP}, true },
		"plain":    func(c *ldap.Config) { c.Servers, c.Plain = []string{server.LDAP}, true },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, server)
			c.Users.ID = "uid"
			c.Users.Attributes = []string{"sn", "entryDN", "absent"}
			change(&c)
			source := open(t, c)
			got, err := logIn(t, source, "alice", "alice-password")
			want := identity.User{
				Subject: "lab:alice", Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "alice",
				Source: "lab", Groups: []string{"everybody", "loop-a", "platform-engineer", "posix"},
				Attributes: map[string][]string{"sn": {"alice"}, "entryDN": {"uid=alice," + directory.People}},
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v; want - got +:\n%s", err, diff)
			}
			again, err := source.Lookup(t.Context(), got.Subject)
			if diff := cmp.Diff(want, again); err != nil || diff != "" {
				t.Errorf("looked up: %v; want - got +:\n%s", err, diff)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	server := laboratory(t)
	for _, test := range []struct {
		name    string
		change  func(*ldap.Groups)
		want    []string
		queries int // for the groups
	}{
		{"none", func(g *ldap.Groups) { *g = ldap.Groups{} }, nil, 0},
		{"flat", func(*ldap.Groups) {}, []string{"everybody", "loop-a", "platform-engineer", "posix"}, 1},
		{"walked", func(g *ldap.Groups) { g.Nested = ldap.Walk }, []string{"company", "everybody", "holding", "loop-a", "loop-b", "platform-engineer", "posix"}, 3},
		{"memberOf", func(g *ldap.Groups) { g.MemberOf = "memberOf" }, []string{"everybody", "loop-a", "platform-engineer"}, 0},
		{"memberOf, walked", func(g *ldap.Groups) { g.MemberOf, g.Nested = "memberOf", ldap.Walk }, []string{"company", "everybody", "holding", "loop-a", "loop-b", "platform-engineer"}, 2},
		{"as DNs", func(g *ldap.Groups) { g.MemberOf, g.Name = "memberOf", "dn" }, []string{groupDN("everybody"), groupDN("loop-a"), groupDN("platform-engineer")}, 0},
		{"filtered", func(g *ldap.Groups) { g.Filter = "(cn=plat*)" }, []string{"platform-engineer"}, 1},
		{"by another attribute", func(g *ldap.Groups) { g.MemberOf, g.Name = "memberOf", "entryDN" }, []string{groupDN("everybody"), groupDN("loop-a"), groupDN("platform-engineer")}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := config(t, server)
			test.change(&c.Groups)
			user, steps, err := open(t, c).Explain(t.Context(), "alice")
			if diff := cmp.Diff(test.want, user.Groups); err != nil || diff != "" {
				t.Errorf("%v; want - got +:\n%s", err, diff)
			}
			if got := len(steps) - 1; got != test.queries {
				t.Errorf("got %d queries for the groups, want %d: %+v", got, test.queries, steps)
			}
		})
	}
}

// A user in 20 groups that are in 20 groups is one search of each level.
func TestManyGroups(t *testing.T) {
	server := directory.Start(t, person("uid=member", "member", ""))
	for i := range 120 {
		group(t, server, fmt.Sprintf("flat-%03d", i), user("member"))
		group(t, server, fmt.Sprintf("nested-%03d", i), groupDN(fmt.Sprintf("flat-%03d", i)))
	}
	c := config(t, server)
	c.Groups.Nested = ldap.Walk
	user, steps, err := open(t, c).Explain(t.Context(), "member")
	if err != nil || len(user.Groups) != 240 {
		t.Fatalf("got %d groups, %v; want 240", len(user.Groups), err)
	}
	if len(steps) != 6 { // the user, the direct, twice the next level, twice the one after
		t.Errorf("got %d queries, want 6", len(steps))
	}
}

func TestAGroupThatIsTakenAway(t *testing.T) {
	server := laboratory(t)
	source := open(t, config(t, server))
	alice, err := logIn(t, source, "alice", "alice-password")
	if err != nil {
		t.Fatal(err)
	}
	admin := server.Administer(t)
	change := goldap.NewModifyRequest(groupDN("everybody"), nil)
	change.Delete("member", []string{user("alice")})
	if err := admin.Modify(change); err != nil {
		t.Fatal(err)
	}
	now, err := source.Lookup(t.Context(), alice.Subject)
	if diff := cmp.Diff([]string{"loop-a", "platform-engineer", "posix"}, now.Groups); err != nil || diff != "" {
		t.Errorf("%v; want - got +:\n%s", err, diff)
	}
	// The entry moves, and is the same person.
	if err := admin.ModifyDN(goldap.NewModifyDNRequest(user("alice"), "uid=alicia", false, "")); err != nil {
		t.Fatal(err)
	}
	if moved, err := source.Lookup(t.Context(), alice.Subject); err != nil || moved.Subject != alice.Subject {
		t.Errorf("after a move: got %v, %v", moved.Subject, err)
	}
	if err := admin.Del(goldap.NewDelRequest("uid=alicia,"+directory.People, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Lookup(t.Context(), alice.Subject); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("after the end: got %v, want ErrNotFound", err)
	}
	for _, subject := range []oidc.Subject{"", "lab:", "lab:*", "other:" + alice.Subject, "lab:" + alice.Subject} {
		if _, err := source.Lookup(t.Context(), subject); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", subject, err)
		}
	}
	if locked, err := source.Lookup(t.Context(), subjectOf(t, server, "locked")); err != nil || !locked.Disabled {
		t.Errorf("an account that is locked for good: got %+v, %v; want it disabled", locked, err)
	}
}

func subjectOf(t *testing.T, server *directory.Server, login string) oidc.Subject {
	t.Helper()
	found, _, err := open(t, config(t, server)).Explain(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	return found.Subject
}

func TestPasswordsAreChanged(t *testing.T) {
	server := laboratory(t)
	c := config(t, server)
	c.Passwords = ldap.Extended
	source := open(t, c)
	change := func(login, old, replacement string) error {
		return source.ChangePassword(t.Context(), login, secret.New(old), secret.New(replacement))
	}
	if err := change("fresh", "wrong", "a new password"); !errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("with a wrong password: got %v", err)
	}
	if err := change("nobody", "wrong", "a new password"); !errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("of nobody: got %v", err)
	}
	for _, short := range []string{"", "short"} {
		if _, ok := errors.AsType[*identity.PasswordRefusedError](change("fresh", "fresh-password", short)); !ok {
			t.Errorf("%q was not refused by a rule", short)
		}
	}
	if err := change("fresh", "fresh-password", "a new password"); err != nil {
		t.Fatal(err)
	}
	if _, err := logIn(t, source, "fresh", "fresh-password"); !errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("with the old password: got %v", err)
	}
	if _, err := logIn(t, source, "fresh", "a new password"); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	// Who is logged in is known by their subject, whatever people type.
	c.Users.Login = []string{"mail"}
	byMail := open(t, c)
	alice := subjectOf(t, server, "alice")
	for subject, want := range map[oidc.Subject]error{alice: nil, "lab:": identity.ErrWrongCredentials, "other:x": identity.ErrWrongCredentials} {
		if err := byMail.ChangePasswordOf(t.Context(), subject, secret.New("alice-password"), secret.New("a new password")); !errors.Is(err, want) {
			t.Errorf("of %s: got %v, want %v", subject, err, want)
		}
	}
	if _, err := logIn(t, byMail, "alice@example.com", "a new password"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := open(t, config(t, server)).ChangePassword(t.Context(), "bob", secret.New("bob-password"), secret.New("a new password")); !errors.Is(err, identity.ErrNoPasswordChange) {
		t.Errorf("where it is not configured: got %v", err)
	}
}

func TestTooManyWrongPasswords(t *testing.T) {
	server := laboratory(t)
	source := open(t, config(t, server))
	for range 5 {
		if _, err := logIn(t, source, "bob", "wrong"); !errors.Is(err, identity.ErrWrongCredentials) {
			t.Fatal(err)
		}
	}
	if _, err := logIn(t, source, "bob", "bob-password"); !errors.Is(err, identity.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if found, err := source.Lookup(t.Context(), subjectOf(t, server, "bob")); err != nil || found.Disabled {
		t.Errorf("guessing locked out who was logged in: %+v, %v", found, err)
	}
}

// relay counts the connections to a server.
func relay(t testing.TB, to string) (address string, opened *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	opened = new(atomic.Int64)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go copyUntilEnd(client, server)
			go copyUntilEnd(server, client)
		}
	}()
	return listener.Addr().String(), opened
}

func copyUntilEnd(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	server := laboratory(t)
	address, opened := relay(t, strings.TrimPrefix(server.LDAPS, "ldaps://"))
	c := config(t, server)
	c.Servers, c.Connections = []string{"ldaps://" + address}, 4
	source := open(t, c)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range 10 {
				if _, err := logIn(t, source, "josé", "josé-password"); err != nil {
					t.Error(err)
				}
				if _, err := logIn(t, source, "nobody", "wrong"); !errors.Is(err, identity.ErrWrongCredentials) {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if got := opened.Load(); got > 8 {
		t.Errorf("320 logins opened %d connections, want at most 4 of each kind", got)
	}
}

func TestAServerThatRestarts(t *testing.T) {
	server := laboratory(t)
	source := open(t, config(t, server))
	if _, err := logIn(t, source, "alice", "alice-password"); err != nil {
		t.Fatal(err)
	}
	server.Process().Kill()
	if _, err := logIn(t, source, "alice", "alice-password"); err == nil || errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("while the server is gone: got %v, want an error of ours", err)
	}
	server.Restart(t)
	if _, err := logIn(t, source, "alice", "alice-password"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestAServerThatStalls(t *testing.T) {
	stalled, healthy := laboratory(t), laboratory(t)
	c := config(t, healthy)
	c.Timeout = 500 * time.Millisecond
	c.Users.ID = "uid" // the two know nothing of each other
	c.Servers = []string{stalled.LDAPS, healthy.LDAPS}
	c.TLS.RootCAs = stalled.Authority.Clone()
	both := c.TLS
	both.InsecureSkipVerify = true //nolint:gosec // two authorities of one test
	source := open(t, c)
	if _, err := logIn(t, source, "alice", "alice-password"); err != nil {
		t.Fatal(err)
	}
	stalled.Stall(t)
	defer stalled.Process().Signal(syscall.SIGCONT)
	if _, err := logIn(t, source, "alice", "alice-password"); err != nil {
		t.Errorf("with one server stalled: %v", err)
	}
	if _, err := source.Lookup(t.Context(), "lab:alice"); err != nil {
		t.Errorf("looked up with one server stalled: %v", err)
	}
	healthy.Stall(t)
	defer healthy.Process().Signal(syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	for err == nil { // a request that was on its way may still be answered
		_, err = source.Lookup(ctx, "lab:alice")
	}
	if errors.Is(err, identity.ErrNotFound) || ctx.Err() != nil {
		t.Errorf("with both stalled: got %v; want an error, and soon", err)
	}
}

func TestOneOfTwoIsDown(t *testing.T) {
	up, down := laboratory(t), laboratory(t)
	down.Process().Kill()
	c := config(t, up)
	c.Servers = []string{down.LDAPS, up.LDAPS}
	if _, err := logIn(t, open(t, c), "alice", "alice-password"); err != nil {
		t.Error(err)
	}
}

// A request to one server that takes connections and says nothing costs one
// connection attempt.
func TestASilentServerIsTriedOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	address, opened := relay(t, listener.Addr().String())
	c := config(t, directory.Start(t, ""))
	c.Servers, c.Timeout = []string{"ldaps://" + address}, 200*time.Millisecond
	source := open(t, c)
	for n := range 3 {
		if _, err := logIn(t, source, "alice", "alice-password"); err == nil || errors.Is(err, identity.ErrWrongCredentials) {
			t.Errorf("got %v", err)
		}
		if got := opened.Load(); got != int64(n)+1 {
			t.Errorf("%d logins opened %d connections", n+1, got)
		}
	}
}

// A searching account that was refused is not tried with each login, or the
// directory would lock it.
func TestARefusedSearchingAccountIsLeftAlone(t *testing.T) {
	server := laboratory(t)
	address, opened := relay(t, strings.TrimPrefix(server.LDAPS, "ldaps://"))
	now := time.Now()
	c := config(t, server)
	c.Servers, c.BindPassword = []string{"ldaps://" + address}, secret.New("wrong")
	c.Now = func() time.Time { return now }
	source := open(t, c)
	for minute := range 2 {
		for range 10 {
			_, err := logIn(t, source, "alice", "alice-password")
			if _, refused := errors.AsType[*ldap.BindError](err); !refused {
				t.Errorf("got %v, want a BindError", err)
			}
		}
		if got := opened.Load(); got != int64(minute)+1 {
			t.Errorf("after %d minutes it was tried %d times", minute, got)
		}
		now = now.Add(time.Minute)
	}
}

// A client that hangs up says nothing of the server that it waited for.
func TestWhoHangsUpMakesNoServerDown(t *testing.T) {
	first, second := laboratory(t), laboratory(t)
	c := config(t, first)
	c.Users.ID = "uid" // the two know nothing of each other
	c.Servers = []string{first.LDAPS, second.LDAPS}
	c.TLS.RootCAs = first.Authority.Clone()
	c.TLS.InsecureSkipVerify = true //nolint:gosec // two authorities of one test
	source := open(t, c)
	asked := func() string {
		t.Helper()
		_, steps, err := source.Explain(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return "ldaps://" + steps[0].Server
	}
	if got := asked(); got != first.LDAPS {
		t.Fatalf("%s was asked", got)
	}
	for _, kept := range []bool{true, false} { // a connection
		first.Stall(t)
		ctx, hangUp := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := source.Lookup(ctx, "lab:alice")
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Errorf("kept %t: it did not wait: %v", kept, err)
		case <-time.After(200 * time.Millisecond):
		}
		hangUp()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("kept %t: got %v, want that it was cancelled", kept, err)
		}
		first.Process().Signal(syscall.SIGCONT)
	}
	if got := asked(); got != first.LDAPS {
		t.Errorf("afterwards %s was asked", got)
	}
}

func TestWhatTheOperatorGotWrong(t *testing.T) {
	server := laboratory(t)
	for name, test := range map[string]struct {
		change func(*ldap.Config)
		want   string
	}{
		"the searching account's password": {func(c *ldap.Config) { c.BindPassword = secret.New("wrong") }, "binding as the searching account"},
		"the authority":                    {func(c *ldap.Config) { c.TLS = nil }, "certificate"},
		"the host name":                    {func(c *ldap.Config) { c.TLS.ServerName = "ldap.example.com" }, "ldap.example.com"},
		"the users' base":                  {func(c *ldap.Config) { c.Users.BaseDN = "ou=nowhere," + directory.Base }, "there is no users.base_dn"},
		"the groups' base":                 {func(c *ldap.Config) { c.Groups.BaseDN = "ou=nowhere," + directory.Base }, "there is no groups.base_dn"},
		"the ID attribute":                 {func(c *ldap.Config) { c.Users.ID = "employeeNumber" }, "users.id"},
		"ldaps on the plain port":          {func(c *ldap.Config) { c.Servers = []string{"ldaps://" + strings.TrimPrefix(server.LDAP, "ldap://")} }, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, server)
			c.Timeout = 2 * time.Second
			test.change(&c)
			_, err := logIn(t, open(t, c), "alice", "alice-password")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "alice-password") || strings.Contains(err.Error(), directory.SearcherPassword) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
