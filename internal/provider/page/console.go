// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

// ConsoleArea is one of the administration pages, by its path below the
// issuer's.
type ConsoleArea string

// The areas.
const (
	ConsoleOverview ConsoleArea = "/admin"
	ConsoleUsers    ConsoleArea = "/admin/users"
	ConsoleGroups   ConsoleArea = "/admin/groups"
	ConsoleClients  ConsoleArea = "/admin/clients"
	ConsoleLogins   ConsoleArea = "/admin/logins"
	ConsoleKeys     ConsoleArea = "/admin/keys"
	ConsoleTrail    ConsoleArea = "/admin/trail"
)

// Console is what the administration pages have in common.
type Console struct {
	Who      string // administers
	Here     ConsoleArea
	Notice   ConsoleNotice
	Back     string   // this page, for forms that are sent elsewhere
	Again    string   // where this page asks for another login; empty: this one may change something
	Commands []string // that do the same at a terminal
}

// Areas are all of them, in their order.
func (Console) Areas() []ConsoleArea {
	return []ConsoleArea{ConsoleOverview, ConsoleUsers, ConsoleGroups, ConsoleClients, ConsoleLogins, ConsoleKeys, ConsoleTrail}
}

// ConsoleNotice is what came of the form that was sent before.
type ConsoleNotice struct {
	What   ConsoleOutcome
	About  string        // a name, for the sentence
	Secret secret.String // shown this once; may be zero
	Detail string        // English; may be empty
}

// ConsoleOutcome is what became of an act.
type ConsoleOutcome string

// The outcomes: what was done.
const (
	NoOutcome       ConsoleOutcome = ""
	UserAdded       ConsoleOutcome = "user-added"
	UserIsDisabled  ConsoleOutcome = "user-disabled"
	UserIsEnabled   ConsoleOutcome = "user-enabled"
	UserIsUnlocked  ConsoleOutcome = "user-unlocked"
	UserDeleted     ConsoleOutcome = "user-deleted"
	LoginsEnded     ConsoleOutcome = "logins-ended"
	FactorsRemoved  ConsoleOutcome = "factors-removed"
	PasswordMade    ConsoleOutcome = "password-made"
	LinkMade        ConsoleOutcome = "link-made"
	MemberAdded     ConsoleOutcome = "member-added"
	MemberRemoved   ConsoleOutcome = "member-removed"
	GroupAdded      ConsoleOutcome = "group-added"
	GroupDeleted    ConsoleOutcome = "group-deleted"
	ClientAdded     ConsoleOutcome = "client-added"
	ClientDeleted   ConsoleOutcome = "client-deleted"
	GrantsEnded     ConsoleOutcome = "grants-ended"
	GrantIsEnded    ConsoleOutcome = "grant-ended"
	SessionIsEnded  ConsoleOutcome = "session-ended"
	KeysRotated     ConsoleOutcome = "keys-rotated"
	NothingToChange ConsoleOutcome = "nothing-to-change"
)

// The outcomes: why nothing was done.
const (
	LogInAgain   ConsoleOutcome = "log-in-again"
	PageIsStale  ConsoleOutcome = "stale"
	UserIsGone   ConsoleOutcome = "user-gone"
	GroupIsGone  ConsoleOutcome = "group-gone"
	ClientIsGone ConsoleOutcome = "client-gone"
	LoginIsGone  ConsoleOutcome = "login-gone"
	IsDeclared   ConsoleOutcome = "declared"
	MemberFixed  ConsoleOutcome = "member-declared"
	KeptOut      ConsoleOutcome = "kept-out"
	IsYourself   ConsoleOutcome = "yourself"
	LocksYouOut  ConsoleOutcome = "locks-you-out"
	NotConfirmed ConsoleOutcome = "not-confirmed"
	NotPossible  ConsoleOutcome = "not-possible"
	NameIsTaken  ConsoleOutcome = "taken"
	ClientTaken  ConsoleOutcome = "client-taken"
	NotValid     ConsoleOutcome = "not-valid"
)

// Done reports whether it is what was done, rather than why it was not.
func (o ConsoleOutcome) Done() bool { return consoleEnglish.Outcomes[o] != "" }

// ConsoleSource is a source of users.
type ConsoleSource struct {
	Name, Title string
	Elsewhere   bool // its users prove who they are at another place
}

// ConsoleHome is the overview.
type ConsoleHome struct {
	Console

	Issuer   string
	Sources  []ConsoleSource
	Users    int
	Groups   int
	Clients  int
	Sessions int
	Grants   int
	Keys     []ConsoleKey
	Warnings []string // English
}

// ConsoleHome writes the page.
func (p *Renderer) ConsoleHome(w http.ResponseWriter, r *http.Request, v ConsoleHome) {
	p.write(w, r, http.StatusOK, "consolehome.html", policy(""), v)
}

// ConsoleState is something about a user that an administrator should see.
type ConsoleState string

// The states.
const (
	StateDisabled   ConsoleState = "disabled"
	StateLocked     ConsoleState = "locked"
	StateMustChange ConsoleState = "must-change"
	StateExpired    ConsoleState = "expired" // the temporary password
	StateNoPassword ConsoleState = "no-password"
)

// ConsoleUserEntry is a user in a list.
type ConsoleUserEntry struct {
	Subject  string
	Username string
	Name     string
	Email    string
	Source   string
	Declared bool
	States   []ConsoleState
}

// ConsoleUserList is the list of users.
type ConsoleUserList struct {
	Console

	Search  string
	Source  string // only its users; empty: all
	Sources []ConsoleSource
	Users   []ConsoleUserEntry
	Next    string // where the list goes on; empty: it ends
	Local   bool   // users can be added here
}

// ConsoleUserList writes the page.
func (p *Renderer) ConsoleUserList(w http.ResponseWriter, r *http.Request, v ConsoleUserList) {
	p.write(w, r, http.StatusOK, "consoleusers.html", policy(""), v)
}

// ConsoleNewUser is the form for a local user, as it was filled in.
type ConsoleNewUser struct {
	Console

	Username, Email, Name, Group string
	Groups                       []string // that there are and may be chosen
}

// ConsoleNewUser writes the page.
func (p *Renderer) ConsoleNewUser(w http.ResponseWriter, r *http.Request, v ConsoleNewUser) {
	p.write(w, r, http.StatusOK, "consolenewuser.html", policy(""), v)
}

// ConsoleMembership is a group of a user.
type ConsoleMembership struct {
	Name  string
	Fixed bool // by the configuration file, or by the source
	Link  bool // it is a group of this server
}

// ConsoleFactor is a second factor of a user.
type ConsoleFactor struct {
	Kind          string // totp, passkey, recovery
	Name          string
	Created, Used time.Time
}

// ConsoleUser is one user.
type ConsoleUser struct {
	Console

	ConsoleUserEntry

	EmailVerified bool
	Self          bool // it is who administers
	LockedUntil   time.Time
	Expires       time.Time // the temporary password; zero: it does not
	Groups        []ConsoleMembership
	Factors       []ConsoleFactor
	Sessions      []ConsoleSession
	Grants        []ConsoleGrant
	Seen          string // stands for what the page shows, and comes back with a form
	Acts          ConsoleUserActs
}

// ConsoleUserActs are the acts that are offered.
type ConsoleUserActs struct {
	Disable, Enable, Unlock, Password, Link, Factors, Groups, Delete bool
}

// ConsoleUser writes the page.
func (p *Renderer) ConsoleUser(w http.ResponseWriter, r *http.Request, v ConsoleUser) {
	p.write(w, r, http.StatusOK, "consoleuser.html", policy(""), v)
}

// ConsoleGroupEntry is a group in the list.
type ConsoleGroupEntry struct {
	Name     string
	Members  int
	Declared bool
}

// ConsoleGroupList is the list of groups.
type ConsoleGroupList struct {
	Console

	Entries []ConsoleGroupEntry
	Local   bool // there are accounts that can be members
	Next    string
	Name    string // as the form was filled in
}

// ConsoleGroupList writes the page.
func (p *Renderer) ConsoleGroupList(w http.ResponseWriter, r *http.Request, v ConsoleGroupList) {
	p.write(w, r, http.StatusOK, "consolegroups.html", policy(""), v)
}

// ConsoleGroup is one group.
type ConsoleGroup struct {
	Console

	Entry   ConsoleGroupEntry
	Members []ConsoleUserEntry
	Next    string // where the list of members goes on
	Member  string // as the form was filled in
}

// ConsoleGroup writes the page.
func (p *Renderer) ConsoleGroup(w http.ResponseWriter, r *http.Request, v ConsoleGroup) {
	p.write(w, r, http.StatusOK, "consolegroup.html", policy(""), v)
}

// ConsoleClientEntry is a client in the list.
type ConsoleClientEntry struct {
	ID, Name         string
	Public, Declared bool
}

// ConsoleClientList is the list of clients.
type ConsoleClientList struct {
	Console

	Search  string
	Clients []ConsoleClientEntry
	Next    string
}

// ConsoleClientList writes the page.
func (p *Renderer) ConsoleClientList(w http.ResponseWriter, r *http.Request, v ConsoleClientList) {
	p.write(w, r, http.StatusOK, "consoleclients.html", policy(""), v)
}

// ConsoleSetting is a setting by its key in the configuration file.
type ConsoleSetting struct {
	Key    string
	Values []string
}

// ConsoleClient is one client.
type ConsoleClient struct {
	Console
	ConsoleClientEntry

	Settings []ConsoleSetting
	Seen     string
	Grants   []ConsoleGrant
	More     bool // there are more grants than these
}

// ConsoleClient writes the page.
func (p *Renderer) ConsoleClient(w http.ResponseWriter, r *http.Request, v ConsoleClient) {
	p.write(w, r, http.StatusOK, "consoleclient.html", policy(""), v)
}

// ConsoleNewClient is the form for a client, as it was filled in.
type ConsoleNewClient struct {
	Console

	ID, Name, RedirectURIs string
	Confidential           bool
}

// ConsoleNewClient writes the page.
func (p *Renderer) ConsoleNewClient(w http.ResponseWriter, r *http.Request, v ConsoleNewClient) {
	p.write(w, r, http.StatusOK, "consolenewclient.html", policy(""), v)
}

// ConsoleSession is the session of a browser.
type ConsoleSession struct {
	ID, Subject, Username string
	Device, Address       string
	Began, Used, Expires  time.Time
	This                  bool // the one that looks
}

// ConsoleGrant is what a user granted to a client.
type ConsoleGrant struct {
	ID, Subject, Username string
	Client                string
	Device, Address       string
	Began, Used, Expires  time.Time
}

// ConsoleLoginList is the lists of sessions and of grants.
type ConsoleLoginList struct {
	Console

	User, Client string // as the form was filled in
	Unknown      bool   // there is no such user
	Sessions     []ConsoleSession
	Grants       []ConsoleGrant
	NextSessions string
	NextGrants   string
}

// ConsoleLoginList writes the page.
func (p *Renderer) ConsoleLoginList(w http.ResponseWriter, r *http.Request, v ConsoleLoginList) {
	p.write(w, r, http.StatusOK, "consolelogins.html", policy(""), v)
}

// ConsoleKey is a signing key.
type ConsoleKey struct {
	ID, Algorithm string
	State         string // published, active, retiring, revoked
	Since, Until  time.Time
	SuccessorAt   time.Time // when a successor is published; zero: it is, or none is due
}

// ConsoleKeyList is the list of signing keys.
type ConsoleKeyList struct {
	Console

	Keys         []ConsoleKey
	Warnings     []string // English
	Algorithms   []string
	PublishAhead string // how long a successor waits; a duration
	SafeLead     string // how long the key set may be kept by those who verify
}

// ConsoleKeyList writes the page.
func (p *Renderer) ConsoleKeyList(w http.ResponseWriter, r *http.Request, v ConsoleKeyList) {
	p.write(w, r, http.StatusOK, "consolekeys.html", policy(""), v)
}

// ConsoleTrailPlace is where audit events go.
type ConsoleTrailPlace string

// The places.
const (
	TrailInFile   ConsoleTrailPlace = "file"
	TrailOnOutput ConsoleTrailPlace = "output"
	TrailNowhere  ConsoleTrailPlace = "nowhere"
)

// ConsoleEvent is an audit event.
type ConsoleEvent struct {
	Time                           time.Time
	Act                            string
	Subject, Actor, Client, Source string
	Remote, Agent, Reason          string
	IDs                            []string // of what it is about: a session, a grant, a token
}

// ConsoleEventList is the audit trail.
type ConsoleEventList struct {
	Console

	Place      ConsoleTrailPlace
	Act        string // as the form was filled in
	Person     string
	Client     string
	Acts       []string
	Events     []ConsoleEvent
	Next       string
	Unreadable int
	Exhausted  bool // much was read, and little found; it goes on at Next
	Gone       bool // the list cannot go on where it was
	After      bool // it is not the beginning
}

// ConsoleEventList writes the page.
func (p *Renderer) ConsoleEventList(w http.ResponseWriter, r *http.Request, v ConsoleEventList) {
	p.write(w, r, http.StatusOK, "consoletrail.html", policy(""), v)
}

// Done is the words for what was done, or empty.
func (t consoleText) Done(n ConsoleNotice) string {
	return strings.Replace(t.Outcomes[n.What], "%s", n.About, 1)
}

// Refused is the words for why nothing was done.
func (t consoleText) Refused(n ConsoleNotice) explained {
	words := t.Refusals[n.What]
	words.What = strings.Replace(words.What, "%s", n.About, 1)
	return words
}

// consoleText is the words of these pages.
type consoleText struct {
	Areas map[ConsoleArea]string

	Administration, YouAre, ToPortal                    string
	Again, AgainLink, SameCommands, SecretOnce          string
	SearchButton, Next, First, None                     string
	Until, Since, Never, FromFile, FromFileWhat, Source string

	Issuer, Sources, Elsewhere, Keys, Warnings string
	Users, Groups, Clients, Sessions, Grants   string

	User, State, SearchUsers, AllSources, AddUser      string
	Subject, Verified, Unverified                      string
	Expires, LockedUntil, NotMember, RemoveFrom, Group string
	AddToGroup, Factors, FactorsWhat, NoFactors        string
	RemoveFactors, Acts, ConfirmName, EndLogins        string
	EndLoginsWhat, Disable, DisableWhat, Enable        string
	Unlock, MakePassword, MakePasswordWhat, MakeLink   string
	MakeLinkWhat, Delete, DeleteWhat, Forget           string
	ForgetWhat, Yourself, AddUserWhat, Optional        string

	Members, AddGroup, AddMember, DeleteGroup, DeleteGroupWhat string
	MemberField, ConfirmGroup                                  string

	Client, Kind, Public, Confidential, SearchClients                 string
	AddClient, AddClientWhat, RedirectURIs, RedirectWhat              string
	Settings, OtherSettings, EndGrants, DeleteClient                  string
	DeleteClientWhat, ConfirmClient, MoreGrants                       string
	PublicWhat, ConfidentialWhat, EndGrantsWhat, ClientID, ClientName string

	Device, Address, Began, Used, Ends, End, This                             string
	EndNamed, Remove, RemoveNamed, NoSuchUser, SessionsWhat, GrantsWhat, Show string

	KeyID, Algorithm, Rotate, RotateWhat, RotateNow, RotateNowWhat string
	RotateNowKnown, BothAlgorithms, SuccessorAt                    string

	Time, Act, Person, Where, What, By, AnyAct, About string
	InFile, OnOutput, Nowhere, Unreadable, Exhausted  string
	Gone, NoEvents                                    string

	KeyStates   map[string]string
	UserStates  map[ConsoleState]string
	FactorKinds map[string]string
	ActWords    map[string]string
	Outcomes    map[ConsoleOutcome]string
	Refusals    map[ConsoleOutcome]explained
}

var consoleEnglish = consoleText{
	Areas: map[ConsoleArea]string{
		ConsoleOverview: "Overview",
		ConsoleUsers:    "Users",
		ConsoleGroups:   "Groups",
		ConsoleClients:  "Clients",
		ConsoleLogins:   "Sessions and grants",
		ConsoleKeys:     "Signing keys",
		ConsoleTrail:    "Audit trail",
	},

	Administration: "Administration",
	YouAre:         "You administer as %s.",
	ToPortal:       "Your own page",
	Again:          "To change something, your login must not be older than 15 minutes.",
	AgainLink:      "Log in again",
	SameCommands:   "The same at a terminal",
	SecretOnce:     "This is the only time that it is shown.",
	SearchButton:   "Search",
	Next:           "Next page",
	First:          "First page",
	None:           "none",
	Until:          "Until",
	Since:          "Since",
	Never:          "never",
	FromFile:       "from the configuration file",
	FromFileWhat:   "It is declared in the configuration file, and changed there.",
	Source:         "Source",

	Issuer:    "Issuer",
	Sources:   "Sources",
	Elsewhere: "people log in at another place",
	Keys:      "Signing keys",
	Warnings:  "Warning:",
	Users:     "Users",
	Groups:    "Groups",
	Clients:   "Clients",
	Sessions:  "Sessions",
	Grants:    "Grants",

	User:             "User",
	State:            "State",
	SearchUsers:      "User name, e-mail address or name",
	AllSources:       "All sources",
	AddUser:          "Add a user",
	Subject:          "Subject",
	Verified:         "verified",
	Unverified:       "not verified",
	Expires:          "The temporary password ends",
	LockedUntil:      "Locked until",
	NotMember:        "This user is in no group.",
	RemoveFrom:       "Remove from %s",
	Group:            "Group",
	AddToGroup:       "Add to the group",
	Factors:          "Second factors",
	FactorsWhat:      "For somebody who has lost theirs. All logins end, and where a second factor is required, whoever logs in next with the password adds the new one: make sure first that it is this user who asks.",
	NoFactors:        "There is none.",
	RemoveFactors:    "Remove all second factors",
	Acts:             "Acts",
	ConfirmName:      "Type the user name, %s, to confirm",
	EndLogins:        "End all logins",
	EndLoginsWhat:    "Every browser and every program asks for the password again. An ID token that an API server has seen works until it expires.",
	Disable:          "Disable",
	DisableWhat:      "All logins end, and none begins. An ID token that an API server has seen works until it expires.",
	Enable:           "Enable",
	Unlock:           "Unlock",
	MakePassword:     "Make a temporary password",
	MakePasswordWhat: "It is shown once, and must be changed at the first login. All logins of the user end.",
	MakeLink:         "Make a link",
	MakeLinkWhat:     "With it the person chooses a password. It is shown once; send it over a way that nobody else reads.",
	Delete:           "Delete the user",
	DeleteWhat:       "With all sessions, grants, memberships and second factors. It cannot be undone.",
	Forget:           "Forget the user",
	ForgetWhat:       "All sessions, grants and second factors go. If the source still knows the person, a new login makes them known here again; disable them to keep them out.",
	Yourself:         "This is you. Another administrator can disable or delete you.",
	AddUserWhat:      "The user is added without a password. After that, make a temporary password or a link for it.",
	Optional:         "may be empty",

	Members:         "Members",
	AddGroup:        "Add a group",
	AddMember:       "Add a member",
	DeleteGroup:     "Delete the group",
	DeleteGroupWhat: "Its members stay users. It cannot be undone.",
	MemberField:     "User name or e-mail address",
	ConfirmGroup:    "Type the name of the group, %s, to confirm",

	Client:           "Client",
	Kind:             "Kind",
	Public:           "public",
	Confidential:     "confidential",
	SearchClients:    "Client ID or name",
	AddClient:        "Add a client",
	AddClientWhat:    "For a login with a browser. All else that a client can be stays with the command line: tegata client add --help",
	RedirectURIs:     "Redirect URIs, one a line",
	RedirectWhat:     "For kubectl: http://localhost:8000",
	Settings:         "Settings",
	OtherSettings:    "Settings are changed at a terminal:",
	EndGrants:        "End all its grants",
	DeleteClient:     "Delete the client",
	DeleteClientWhat: "What was granted to it ends. It cannot be undone.",
	ConfirmClient:    "Type the client ID, %s, to confirm",
	MoreGrants:       "There are more grants.",
	PublicWhat:       "It has no secret, as the credential plugin of kubectl.",
	ConfidentialWhat: "It gets a secret, which is shown once.",
	EndGrantsWhat:    "Everybody who uses the client must log in again.",
	ClientID:         "Client ID",
	ClientName:       "Name",

	Device:       "Device",
	Address:      "Address",
	Began:        "Login",
	Used:         "Last use",
	Ends:         "Ends",
	End:          "End",
	This:         "this browser",
	EndNamed:     "End: %s",
	Remove:       "Remove",
	RemoveNamed:  "Remove: %s",
	NoSuchUser:   "There is no such user.",
	SessionsWhat: "Each is one browser in which a person logged in.",
	GrantsWhat:   "Each is one login of a person at a client, on one device.",
	Show:         "Show",

	KeyID:          "Key ID",
	Algorithm:      "Algorithm",
	Rotate:         "Publish successors",
	RotateWhat:     "A successor of each signing key is published, and signs after %s, when everybody who verifies tokens has fetched it. Nobody notices.",
	RotateNow:      "Publish successors that sign within seconds",
	RotateNowWhat:  "Who fetched the key set shortly before refuses the new tokens until it is fetched again: for %s at the most.",
	RotateNowKnown: "I know that tokens may be refused for a while",
	BothAlgorithms: "both",
	SuccessorAt:    "a successor is published at",

	Time:       "Time",
	Act:        "Act",
	Person:     "User name or subject",
	Where:      "From",
	What:       "What",
	By:         "by",
	AnyAct:     "all acts",
	About:      "About",
	InFile:     "These are the events that this server has written to its file, and to the one before if it was rotated to a name that ends in .1. Another replica, and a command at another machine, writes a file of its own.",
	OnOutput:   "The events go to the standard output of the server, so they stand in the log of the system that runs it. To see them here, name a file with audit.file in the configuration.",
	Nowhere:    "No events are written. To keep them, and see them here, name a file with audit.file in the configuration.",
	Unreadable: "%d lines of the file are no events; they are left out.",
	Exhausted:  "Much of the file was read. The next page goes on from there.",
	Gone:       "The list cannot go on where it was: the file has been rotated. Begin with the first page.",
	NoEvents:   "There is no such event.",

	KeyStates: map[string]string{
		"published": "published: it signs later", "active": "active: it signs",
		"retiring": "retiring: until the last token that it signed has expired", "revoked": "revoked: out of the key set",
	},
	UserStates: map[ConsoleState]string{
		StateDisabled:   "disabled",
		StateLocked:     "locked",
		StateMustChange: "must change the password",
		StateNoPassword: "has no password",
		StateExpired:    "the temporary password has expired",
	},
	FactorKinds: map[string]string{"totp": "one-time passwords of an app", "passkey": "passkey", "recovery": "recovery codes"},
	ActWords: map[string]string{
		"login": "login", "login_refused": "login refused", "logout": "logout", "password_changed": "password changed",
		"grant": "grant", "grant_denied": "grant denied", "grant_ended": "grant ended", "tokens_issued": "tokens issued",
		"token_refused": "token refused", "token_replayed": "token replayed", "token_revoked": "token revoked",
		"second_factor": "second factor proven", "second_factor_added": "second factor added",
		"second_factor_removed": "second factor removed", "account_locked": "account locked", "administration": "administration",
	},
	Outcomes: map[ConsoleOutcome]string{
		UserAdded:       "The user %s was added.",
		UserIsDisabled:  "%s is disabled; all logins have ended.",
		UserIsEnabled:   "%s may log in again.",
		UserIsUnlocked:  "%s is unlocked.",
		UserDeleted:     "The user %s is gone.",
		LoginsEnded:     "All logins of %s have ended.",
		FactorsRemoved:  "The second factors of %s are removed.",
		PasswordMade:    "The temporary password of %s is:",
		LinkMade:        "With this link %s chooses a password:",
		MemberAdded:     "%s is in the group.",
		MemberRemoved:   "%s is no longer in the group.",
		GroupAdded:      "The group %s was added.",
		GroupDeleted:    "The group %s is gone.",
		ClientAdded:     "The client %s was added.",
		ClientDeleted:   "The client %s is gone.",
		GrantsEnded:     "All grants of %s have ended.",
		GrantIsEnded:    "The grant of %s has ended.",
		SessionIsEnded:  "The session of %s has ended.",
		KeysRotated:     "Successors are published: %s",
		NothingToChange: "It was so already; nothing was changed.",
	},
	Refusals: map[ConsoleOutcome]explained{
		LogInAgain:   {"Nothing was changed: your login is older than 15 minutes.", "Log in again, then press the button once more."},
		PageIsStale:  {"Nothing was changed: %s is not as the page showed it.", "Somebody else changed something. Look at it as it is now, and decide again."},
		UserIsGone:   {"There is no user %s, or no longer.", "Somebody else may have deleted it."},
		GroupIsGone:  {"There is no group %s, or no longer.", "Add it first; names are exact."},
		ClientIsGone: {"There is no client %s, or no longer.", "Somebody else may have deleted it."},
		LoginIsGone:  {"It has ended already.", "Nothing else was changed."},
		IsDeclared:   {"%s is declared in the configuration file.", "Change it there; the server takes it over."},
		MemberFixed:  {"%s is a member of a group in the configuration file.", "Take the name out of the group there first."},
		KeptOut:      {"%s is disabled here, and is kept for that: once forgotten, the source would let them in again.", "Enable the user first, if that is meant."},
		IsYourself:   {"You cannot do this to yourself.", "Another administrator can."},
		LocksYouOut:  {"Nothing was changed: you would not see these pages any more.", "Another administrator can do it, or you at a terminal."},
		NotConfirmed: {"Nothing was changed: the name that you typed is another one than %s.", "Type it as it stands there."},
		NotPossible:  {"This cannot be done with %s.", "It is of another kind."},
		NameIsTaken:  {"The name, or the e-mail address, of %s is taken.", "API servers know people and groups by them, so they are given once. Choose another one."},
		ClientTaken:  {"There is a client %s already.", "Choose another ID."},
		NotValid:     {"Nothing was added: something in the form is wrong.", "Correct it and press the button once more."},
	},
}

var consoleJapanese = consoleText{
	Areas: map[ConsoleArea]string{
		ConsoleOverview: "概要",
		ConsoleUsers:    "ユーザー",
		ConsoleGroups:   "グループ",
		ConsoleClients:  "クライアント",
		ConsoleLogins:   "セッションとグラント",
		ConsoleKeys:     "署名鍵",
		ConsoleTrail:    "監査ログ",
	},

	Administration: "管理",
	YouAre:         "%s として管理しています。",
	ToPortal:       "自分のページ",
	Again:          "変更するには、15 分以内のログインが必要です。",
	AgainLink:      "ログインし直す",
	SameCommands:   "ターミナルでの同じ操作",
	SecretOnce:     "表示されるのは今回だけです。",
	SearchButton:   "検索",
	Next:           "次のページ",
	First:          "最初のページ",
	None:           "なし",
	Until:          "期限",
	Since:          "開始",
	Never:          "なし",
	FromFile:       "設定ファイルで定義",
	FromFileWhat:   "設定ファイルで定義されています。変更は設定ファイルで行ってください。",
	Source:         "ソース",

	Issuer:    "発行者",
	Sources:   "ソース",
	Elsewhere: "ログインは別のサイトで行われます",
	Keys:      "署名鍵",
	Warnings:  "警告：",
	Users:     "ユーザー",
	Groups:    "グループ",
	Clients:   "クライアント",
	Sessions:  "セッション",
	Grants:    "グラント",

	User:             "ユーザー",
	State:            "状態",
	SearchUsers:      "ユーザー名、メールアドレス、氏名",
	AllSources:       "すべてのソース",
	AddUser:          "ユーザーを追加",
	Subject:          "サブジェクト",
	Verified:         "確認済み",
	Unverified:       "未確認",
	Expires:          "仮パスワードの期限",
	LockedUntil:      "ロックの期限",
	NotMember:        "どのグループにも入っていません。",
	RemoveFrom:       "%s から外す",
	Group:            "グループ",
	AddToGroup:       "グループに入れる",
	Factors:          "二要素認証",
	FactorsWhat:      "紛失した人のための操作です。ログインはすべて終了します。二要素認証が必須の場合、次にパスワードでログインした人が新しく登録することになるため、本人からの依頼であることを先に確認してください。",
	NoFactors:        "登録はありません。",
	RemoveFactors:    "二要素認証をすべて削除",
	Acts:             "操作",
	ConfirmName:      "確認のため、ユーザー名 %s を入力してください",
	EndLogins:        "すべてのログインを終了",
	EndLoginsWhat:    "どのブラウザーもプログラムも、次はパスワードを求めます。API サーバーに渡った ID トークンは期限まで使えます。",
	Disable:          "無効にする",
	DisableWhat:      "すべてのログインが終了し、新たにログインできなくなります。API サーバーに渡った ID トークンは期限まで使えます。",
	Enable:           "有効にする",
	Unlock:           "ロックを解除",
	MakePassword:     "仮パスワードを作成",
	MakePasswordWhat: "表示は一度だけです。本人は最初のログインで変更する必要があります。このユーザーのログインはすべて終了します。",
	MakeLink:         "リンクを作成",
	MakeLinkWhat:     "本人がこのリンクでパスワードを決めます。表示は一度だけです。他人が読まない方法で渡してください。",
	Delete:           "ユーザーを削除",
	DeleteWhat:       "セッション、グラント、グループへの所属、二要素認証もすべて削除されます。元に戻せません。",
	Forget:           "ユーザーの記録を削除",
	ForgetWhat:       "セッション、グラント、二要素認証がすべて削除されます。ソースに残っている人は、ログインすると再び登録されます。ログインさせない場合は無効にしてください。",
	Yourself:         "これはあなた自身です。無効化と削除は、ほかの管理者が行えます。",
	AddUserWhat:      "パスワードなしで追加されます。その後、仮パスワードかリンクを作成してください。",
	Optional:         "空欄でもかまいません",

	Members:         "メンバー",
	AddGroup:        "グループを追加",
	AddMember:       "メンバーを追加",
	DeleteGroup:     "グループを削除",
	DeleteGroupWhat: "メンバーはユーザーとして残ります。元に戻せません。",
	MemberField:     "ユーザー名またはメールアドレス",
	ConfirmGroup:    "確認のため、グループ名 %s を入力してください",

	Client:           "クライアント",
	Kind:             "種類",
	Public:           "公開",
	Confidential:     "機密",
	SearchClients:    "クライアント ID または名前",
	AddClient:        "クライアントを追加",
	AddClientWhat:    "ブラウザーでログインするクライアント用です。それ以外の設定はコマンドで行います：tegata client add --help",
	RedirectURIs:     "リダイレクト URI（1 行に 1 つ）",
	RedirectWhat:     "kubectl の場合：http://localhost:8000",
	Settings:         "設定",
	OtherSettings:    "設定の変更はターミナルで行います：",
	EndGrants:        "このクライアントのグラントをすべて終了",
	DeleteClient:     "クライアントを削除",
	DeleteClientWhat: "このクライアントのグラントも終了します。元に戻せません。",
	ConfirmClient:    "確認のため、クライアント ID %s を入力してください",
	MoreGrants:       "グラントはこのほかにもあります。",
	PublicWhat:       "kubectl のプラグインのように、シークレットを持ちません。",
	ConfidentialWhat: "シークレットが発行されます。表示は一度だけです。",
	EndGrantsWhat:    "このクライアントの利用者は全員、ログインし直すことになります。",
	ClientID:         "クライアント ID",
	ClientName:       "名前",

	Device:       "デバイス",
	Address:      "アドレス",
	Began:        "ログイン",
	Used:         "最後の利用",
	Ends:         "期限",
	End:          "終了",
	This:         "このブラウザー",
	EndNamed:     "終了：%s",
	Remove:       "外す",
	RemoveNamed:  "外す：%s",
	NoSuchUser:   "そのユーザーはいません。",
	SessionsWhat: "ログインしているブラウザーごとに 1 つです。",
	GrantsWhat:   "ユーザーがクライアントに許可したログインで、デバイスごとに 1 つです。",
	Show:         "表示",

	KeyID:          "鍵 ID",
	Algorithm:      "アルゴリズム",
	Rotate:         "後継の鍵を公開",
	RotateWhat:     "各署名鍵の後継が公開され、%s 後から署名に使われます。それまでにトークンの検証側が取得するため、利用者への影響はありません。",
	RotateNow:      "数秒後から署名する後継の鍵を公開",
	RotateNowWhat:  "直前に鍵セットを取得した検証側は、次に取得するまで新しいトークンを拒否します（最長 %s）。",
	RotateNowKnown: "しばらくトークンが拒否される場合があることを理解しました",
	BothAlgorithms: "両方",
	SuccessorAt:    "後継の公開予定",

	Time:       "時刻",
	Act:        "種別",
	Person:     "ユーザー名またはサブジェクト",
	Where:      "接続元",
	What:       "内容",
	By:         "実行者",
	AnyAct:     "すべての種別",
	About:      "対象",
	InFile:     "このサーバーがファイルに書いた記録です。末尾が .1 の名前に切り替えられた直前のファイルも含みます。ほかのレプリカや別のマシンのコマンドは、それぞれ別のファイルに書きます。",
	OnOutput:   "記録はサーバーの標準出力に書かれるため、サーバーを動かしているシステムのログにあります。ここに表示するには、設定の audit.file にファイル名を指定してください。",
	Nowhere:    "記録は書かれていません。記録してここに表示するには、設定の audit.file にファイル名を指定してください。",
	Unreadable: "ファイルのうち %d 行は記録として読めないため、表示していません。",
	Exhausted:  "ファイルを長く読んだため、ここで区切りました。次のページはその続きです。",
	Gone:       "ファイルが切り替えられたため、続きを表示できません。最初のページからやり直してください。",
	NoEvents:   "該当する記録はありません。",

	KeyStates: map[string]string{
		"published": "公開済み：これから署名に使われます", "active": "使用中：署名しています",
		"retiring": "引退中：署名したトークンの期限が切れるまで残ります", "revoked": "失効：鍵セットから外れています",
	},
	UserStates: map[ConsoleState]string{
		StateDisabled:   "無効",
		StateLocked:     "ロック中",
		StateMustChange: "パスワードの変更が必要",
		StateNoPassword: "パスワードなし",
		StateExpired:    "仮パスワードの期限切れ",
	},
	FactorKinds: map[string]string{"totp": "アプリのワンタイムパスワード", "passkey": "パスキー", "recovery": "リカバリーコード"},
	ActWords: map[string]string{
		"login": "ログイン", "login_refused": "ログインの拒否", "logout": "ログアウト", "password_changed": "パスワードの変更",
		"grant": "許可", "grant_denied": "許可の拒否", "grant_ended": "グラントの終了", "tokens_issued": "トークンの発行",
		"token_refused": "トークンの拒否", "token_replayed": "トークンの再使用", "token_revoked": "トークンの取り消し",
		"second_factor": "二要素認証の確認", "second_factor_added": "二要素認証の追加",
		"second_factor_removed": "二要素認証の削除", "account_locked": "アカウントのロック", "administration": "管理操作",
	},
	Outcomes: map[ConsoleOutcome]string{
		UserAdded:       "ユーザー %s を追加しました。",
		UserIsDisabled:  "%s を無効にしました。ログインはすべて終了しました。",
		UserIsEnabled:   "%s は再びログインできます。",
		UserIsUnlocked:  "%s のロックを解除しました。",
		UserDeleted:     "ユーザー %s を削除しました。",
		LoginsEnded:     "%s のログインをすべて終了しました。",
		FactorsRemoved:  "%s の二要素認証を削除しました。",
		PasswordMade:    "%s の仮パスワード：",
		LinkMade:        "%s がパスワードを決めるためのリンク：",
		MemberAdded:     "%s をグループに入れました。",
		MemberRemoved:   "%s をグループから外しました。",
		GroupAdded:      "グループ %s を追加しました。",
		GroupDeleted:    "グループ %s を削除しました。",
		ClientAdded:     "クライアント %s を追加しました。",
		ClientDeleted:   "クライアント %s を削除しました。",
		GrantsEnded:     "%s のグラントをすべて終了しました。",
		GrantIsEnded:    "%s のグラントを終了しました。",
		SessionIsEnded:  "%s のセッションを終了しました。",
		KeysRotated:     "後継の鍵を公開しました：%s",
		NothingToChange: "すでにその状態でした。何も変更していません。",
	},
	Refusals: map[ConsoleOutcome]explained{
		LogInAgain:   {"変更していません。ログインから 15 分が過ぎています。", "ログインし直してから、もう一度ボタンを押してください。"},
		PageIsStale:  {"変更していません。%s はページに表示された状態から変わっています。", "ほかの人が変更しました。現在の状態を確認して、あらためて判断してください。"},
		UserIsGone:   {"ユーザー %s は存在しません。", "ほかの人が削除した可能性があります。"},
		GroupIsGone:  {"グループ %s は存在しません。", "先に追加してください。名前は正確に入力する必要があります。"},
		ClientIsGone: {"クライアント %s は存在しません。", "ほかの人が削除した可能性があります。"},
		LoginIsGone:  {"すでに終了しています。", "ほかには何も変更していません。"},
		IsDeclared:   {"%s は設定ファイルで定義されています。", "設定ファイルで変更してください。サーバーが自動的に読み込みます。"},
		MemberFixed:  {"%s は設定ファイルのグループのメンバーです。", "先に設定ファイルのグループから名前を外してください。"},
		KeptOut:      {"%s はここで無効にされているため、記録を残しています。削除すると、ソース経由で再びログインできるようになります。", "それでよければ、先に有効にしてください。"},
		IsYourself:   {"自分自身には行えません。", "ほかの管理者に依頼してください。"},
		LocksYouOut:  {"変更していません。あなたがこのページを見られなくなります。", "ほかの管理者に依頼するか、ターミナルで行ってください。"},
		NotConfirmed: {"変更していません。入力された名前が %s と違います。", "表示されているとおりに入力してください。"},
		NotPossible:  {"%s には行えません。", "種類が異なります。"},
		NameIsTaken:  {"%s の名前またはメールアドレスはすでに使われています。", "API サーバーが人を見分けるため、同じものは使えません。別のものにしてください。"},
		ClientTaken:  {"クライアント %s はすでにあります。", "別の ID にしてください。"},
		NotValid:     {"追加していません。入力に誤りがあります。", "訂正して、もう一度ボタンを押してください。"},
	},
}
