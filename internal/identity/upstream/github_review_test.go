// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"slices"
	"testing"

	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/secret"
)

// Anybody can make an organization of any free name at GitHub. Where none is
// named, none of them is a group here: else a person of an allowed domain makes
// the organization "platform-admins", and is one.
func TestReviewOrganizationsThatNobodyNamedAreNoGroups(t *testing.T) {
	t.Parallel()
	user, err := upstream.MapAccount(upstream.GitHubConfig{
		Name: "github", ClientID: "Iv1.abc", ClientSecret: secret.New("s"),
		Admission: upstream.Admission{AllowedEmailDomains: []string{"example.com"}},
	},
		[]byte(`{"id":583231,"login":"mallory"}`),
		[]byte(`[{"email":"mallory@example.com","primary":true,"verified":true}]`),
		[]byte(`[{"login":"platform-admins"}]`), []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(user.Groups, "platform-admins") {
		t.Errorf("mallory made the organization platform-admins and has the groups %q", user.Groups)
	}
}
