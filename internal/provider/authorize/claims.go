// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
)

// claim is what is asked of one claim (OpenID Connect Core 1.0, section
// 5.5.1). A claim without any of it is asked for as it is: null.
type claim struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// wants returns the values that would do. Without any, every value does.
func (c *claim) wants() (values []string, whatever bool) {
	if c == nil || c.Value == nil && len(c.Values) == 0 {
		return nil, true
	}
	for _, value := range append(slices.Clone(c.Values), c.Value) {
		if text, ok := value.(string); ok {
			values = append(values, text)
		}
	}
	return values, false
}

// readClaims reads the parameter claims (section 5.5) and takes from it what
// changes an answer:
//
//   - sub: whom the answer must be about (section 5.5.1)
//   - acr, if it is essential: how the end user must have logged in (section
//     5.5.1.1)
//   - what userinfo is asked for by name
//
// An ID token has all claims that its client may get, auth_time among them,
// so nothing else changes it. What is unknown is ignored.
func (req *request) readClaims(text string) error {
	if text == "" {
		return nil
	}
	var asked map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &asked); err != nil || asked == nil {
		return invalid("claims is not a JSON object")
	}
	idToken, err := readClaimSet(asked, "id_token")
	if err != nil {
		return err
	}
	userinfo, err := readClaimSet(asked, "userinfo")
	if err != nil {
		return err
	}
	for _, set := range []map[string]*claim{idToken, userinfo} {
		subjects, anybody := set["sub"].wants()
		if anybody {
			continue
		}
		about := []oidc.Subject{}
		for _, subject := range subjects {
			if req.about(oidc.Subject(subject)) {
				about = append(about, oidc.Subject(subject))
			}
		}
		if len(about) == 0 {
			return invalid("claims names no end user that can be meant")
		}
		req.Subjects = about
	}
	if acr := idToken["acr"]; acr != nil && acr.Essential {
		wanted, whatever := acr.wants()
		if !whatever && !slices.ContainsFunc(wanted, func(value string) bool { return slices.Contains(session.ACRs(), value) }) {
			return &oidc.Error{Code: oidc.UnmetAuthenticationRequirements, Description: "no login here has the acr that claims needs"}
		}
		req.SecondFactor = !whatever && !slices.Contains(wanted, session.ACRPassword)
	}
	for _, name := range slices.Sorted(maps.Keys(userinfo)) {
		// They are kept as words; a name with a space in it is none of ours.
		if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' }) && !oidc.IsProtocolClaim(name) {
			req.UserinfoClaims = append(req.UserinfoClaims, name)
		}
	}
	return nil
}

func readClaimSet(asked map[string]json.RawMessage, name string) (map[string]*claim, error) {
	var set map[string]*claim
	if raw, ok := asked[name]; ok {
		if err := json.Unmarshal(raw, &set); err != nil {
			return nil, invalid("claims: %s is not as OpenID Connect Core 1.0, section 5.5, has it", name)
		}
	}
	return set, nil
}
