// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package storetest is what package store promises, whichever engine keeps the
// rows: one suite, which package store runs on SQLite and test/postgres on a
// real PostgreSQL. A promise that needs a look into the engine stands beside
// the engine instead.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// Opener opens a new, empty database and closes it when the test ends.
type Opener func(t testing.TB) *store.DB

// Run runs the suite, each part on a database of its own.
func Run(t *testing.T, open Opener) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"keeps its promises", keepsItsPromises},
		{"issuers never see each other", issuersNeverSeeEachOther},
		{"declare follows the file", declareFollowsTheFile},
		{"declare ends what stood on what is gone", declareEndsWhatStoodOnWhatIsGone},
		{"declare ends the grants of a removed client", declareEndsTheGrantsOfARemovedClient},
		{"declare is whole or not at all", declareIsWholeOrNotAtAll},
		{"declare tells whose subject it is", declareTellsWhoseSubjectItIs},
		{"more workers than connections", moreWorkersThanConnections},
		{"a read sees the write that was answered", readSeesTheWrite},
		{"ending wins", endingWins},
		{"a new password wins", newPasswordWins},
		{"declared by many at once", declaredByManyAtOnce},
		{"members come and go", membersComeAndGo},
		{"swept by many", sweptByMany},
		{"texts come back", textsComeBack},
		{"lists sort by bytes", listsSortByBytes},
		{"export moves everything", exportMovesEverything},
		{"export sees one moment", exportSeesOneMoment},
		{"import goes into an empty database", importGoesIntoAnEmptyDatabase},
		{"import is whole or not at all", importIsWholeOrNotAtAll},
		{"signing keys change as one", signingKeysChangeAsOne},
		{"servers agree on signing keys", serversAgreeOnSigningKeys},
		{"sealed anew, all or nothing", sealedAnewAllOrNothing},
		{"sessions are kept whole", sessionsAreKeptWhole},
		{"logins are listed", loginsAreListed},
		{"log out ends what stands on the session", logOutEndsWhatStandsOnTheSession},
		{"grants are ended together", grantsAreEndedTogether},
		{"devices are kept whole", devicesAreKeptWhole},
		{"devices are decided once", devicesAreDecidedOnce},
		{"grants of users stand on their epoch", grantsOfUsersStandOnTheirEpoch},
		{"identifiers are spent once", identifiersAreSpentOnce},
		{"clients change as one", clientsChangeAsOne},
		{"second factors are kept whole", secondFactorsAreKeptWhole},
		{"second factors are used once", secondFactorsAreUsedOnce},
		{"sessions are raised once", sessionsAreRaisedOnce},
		{"passwords keep those before them", passwordsKeepThoseBeforeThem},
		{"wrong passwords are counted", wrongPasswordsAreCounted},
		{"no wrong password is lost", noWrongPasswordIsLost},
		{"a link is good once", linkIsGoodOnce},
		{"accounts are listed", accountsAreListed},
		{"groups are counted", groupsAreCounted},
		{"logins end together", loginsEndTogether},
		{"users of other sources are remembered", usersOfOtherSourcesAreRemembered},
		{"names are one person's", namesAreOnePersons},
		{"one asks at a time", oneAsksAtATime},
		{"declared users come first", declaredUsersComeFirst},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, open)
		})
	}
}

// fresh is the first issuer of a new database.
func fresh(t testing.TB, open Opener) *store.Issuer {
	t.Helper()
	return AddIssuer(t, open(t), "one")
}

// AddIssuer adds an issuer.
func AddIssuer(t testing.TB, db *store.DB, id string) *store.Issuer {
	t.Helper()
	Check(t, db.AddIssuer(context.Background(), store.IssuerRecord{ID: id, SealedSecret: "sealed"}, Noon))
	return db.Issuer(id)
}

// Check ends the test if there is an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantErr wants an error that is another.
func WantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// Unavailable reports whether it is worth trying again.
func Unavailable(err error) bool {
	_, ok := errors.AsType[*store.UnavailableError](err)
	return ok
}

// Noon is when the tests happen; times are kept in milliseconds.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)

// Account is a user with a password.
func Account(name string) local.Account {
	return local.Account{User: identity.User{
		Subject: oidc.Subject(name + "-subject"), Username: name, Email: name + "@example.com", EmailVerified: true, Groups: []string{},
		Source: local.SourceName,
	}, PasswordHash: "hash of " + name}
}

// Client is a public client.
func Client(id string) clientregistry.Client {
	return clientregistry.Client{ID: oidc.ClientID(id), RedirectURIs: []string{"http://localhost:8000"}}
}

// Grant is a grant whose code was not exchanged.
func Grant(id, client, subject string) grant.Grant {
	return grant.Grant{
		ID: id, Client: oidc.ClientID(client), Subject: oidc.Subject(subject), Scopes: oidc.Scopes{"openid", "email"},
		AuthTime: Noon, CreatedAt: Noon, ExpiresAt: Noon.Add(24 * time.Hour), RedirectURI: "http://localhost:8000", CodeChallenge: "challenge",
		Nonce: "nonce", CodeHash: "code hash of " + id, CodeExpiresAt: Noon.Add(time.Minute),
	}
}

// Session is a session that lives for an hour.
func Session(id, subject string) session.Session {
	return session.Session{ID: id, SecretHash: "secret of " + id, Subject: oidc.Subject(subject), AuthTime: Noon, ExpiresAt: Noon.Add(time.Hour)}
}

// SigningKey is the first key of its algorithm.
func SigningKey(id string) signingkey.Record {
	return signingkey.Record{ID: id, Algorithm: "RS256", Generation: 1, SealedPrivate: "sealed " + id, PublishedAt: Noon, SignsFrom: Noon}
}
