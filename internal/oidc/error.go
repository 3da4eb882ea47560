// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

// ErrorCode is the error parameter of an OAuth 2.0 or OpenID Connect answer.
type ErrorCode string

// The codes of RFC 6749 (sections 4.1.2.1 and 5.2), OpenID Connect Core 1.0
// (section 3.1.2.6) and RFC 6750 (section 3.1).
const (
	InvalidRequest          ErrorCode = "invalid_request"
	InvalidClient           ErrorCode = "invalid_client"
	InvalidGrant            ErrorCode = "invalid_grant"
	InvalidScope            ErrorCode = "invalid_scope"
	InvalidToken            ErrorCode = "invalid_token"
	InsufficientScope       ErrorCode = "insufficient_scope"
	UnauthorizedClient      ErrorCode = "unauthorized_client"
	UnsupportedGrantType    ErrorCode = "unsupported_grant_type"
	UnsupportedResponseType ErrorCode = "unsupported_response_type"
	AccessDenied            ErrorCode = "access_denied"
	ServerError             ErrorCode = "server_error"
	TemporarilyUnavailable  ErrorCode = "temporarily_unavailable"
	LoginRequired           ErrorCode = "login_required"
	ConsentRequired         ErrorCode = "consent_required"
	InteractionRequired     ErrorCode = "interaction_required"
	RequestNotSupported     ErrorCode = "request_not_supported"
	RequestURINotSupported  ErrorCode = "request_uri_not_supported"

	RegistrationNotSupported ErrorCode = "registration_not_supported"
	// OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
	UnmetAuthenticationRequirements ErrorCode = "unmet_authentication_requirements"
	// RFC 8628, section 3.5.
	AuthorizationPending ErrorCode = "authorization_pending"
	SlowDown             ErrorCode = "slow_down"
	ExpiredToken         ErrorCode = "expired_token"
	// RFC 8693, section 2.2.2.
	InvalidTarget ErrorCode = "invalid_target"
	// RFC 7009, section 2.2.1.
	UnsupportedTokenType ErrorCode = "unsupported_token_type"
)

// Error is a failure as the protocol tells it (RFC 6749, sections 4.1.2.1 and
// 5.2). The description is for the developer of the other side; it never
// holds a secret. Cause is for our own log and is never sent.
type Error struct {
	Code        ErrorCode `json:"error"`
	Description string    `json:"error_description,omitempty"`
	Cause       error     `json:"-"`
}

// Error implements [error].
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
