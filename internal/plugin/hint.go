// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
)

// advise adds to a failure what a person can try next. It is the one place
// where problems of the protocol meet the names of flags.
func advise(err error, r request) error {
	if p, ok := errors.AsType[*login.Problem](err); ok {
		if hint := adviseProblem(p.Kind, r); hint != "" {
			return exit.WithHint(err, hint)
		}
		return err
	}
	if refusal, ok := errors.AsType[*oidc.Error](err); ok {
		if hint := adviseRefusal(refusal.Code, r); hint != "" {
			return exit.WithHint(err, hint)
		}
	}
	return err
}

func adviseProblem(kind login.Kind, r request) string {
	switch kind {
	case login.Unreachable, login.TimedOut:
		return "check the network, the proxy settings and --oidc-issuer-url=" + r.flags.issuer
	case login.Unavailable:
		return "try again in a moment; the tokens that you have are kept"
	case login.UntrustedCertificate:
		return "--certificate-authority=FILE names the authority that signed it"
	case login.WrongCertificate:
		return "check that --oidc-issuer-url names the host that the certificate was made for"
	case login.NotAnIssuer:
		return "is " + r.flags.issuer + " an issuer? compare --oidc-issuer-url with the provider's documentation"
	case login.IssuerMismatch:
		return "--oidc-issuer-url must be the same byte by byte, here and in the API server"
	case login.ClockSkew:
		return "compare the clock of this machine with the provider's"
	case login.SubjectChanged:
		return "run the command again to log in, and look at who is logged in in the browser"
	case login.PortsBusy:
		return "--listen-address=127.0.0.1:PORT names another one; the provider must know its redirect URL"
	case login.NoIDToken:
		return "is openid among the scopes that the client " + r.flags.clientID + " may ask for?"
	case login.NotOffered:
		return "--grant-type=authcode uses a browser here, --grant-type=authcode-keyboard one on another machine"
	case login.CodeExpired:
		return "run the command again, and enter the new code"
	case login.NobodyCame:
		return "run the command again; --authentication-timeout-sec gives more time"
	}
	return ""
}

func adviseRefusal(code oidc.ErrorCode, r request) string {
	switch code {
	case oidc.InvalidClient, oidc.UnauthorizedClient:
		return "check --oidc-client-id=" + r.flags.clientID + " and --oidc-client-secret against the client at the provider"
	case oidc.InvalidScope:
		return "check --oidc-extra-scope against the scopes that the provider offers"
	case oidc.AccessDenied:
		return "log in as somebody who may use the client " + r.flags.clientID
	case oidc.InvalidGrant:
		return "run the command again; if it happens each time, compare the clocks and --oidc-pkce-method"
	}
	return ""
}
