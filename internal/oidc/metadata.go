// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

// Metadata is the provider's description of itself
// (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
type Metadata struct {
	Issuer                            Issuer   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint                     string   `json:"token_endpoint,omitempty"`
	UserinfoEndpoint                  string   `json:"userinfo_endpoint,omitempty"`
	JWKSURI                           string   `json:"jwks_uri,omitempty"`
	DeviceAuthorizationEndpoint       string   `json:"device_authorization_endpoint,omitempty"`
	RevocationEndpoint                string   `json:"revocation_endpoint,omitempty"`
	EndSessionEndpoint                string   `json:"end_session_endpoint,omitempty"`
	ScopesSupported                   []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported            []string `json:"response_types_supported,omitempty"`
	ResponseModesSupported            []string `json:"response_modes_supported,omitempty"`
	GrantTypesSupported               []string `json:"grant_types_supported,omitempty"`
	SubjectTypesSupported             []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported  []string `json:"id_token_signing_alg_values_supported,omitempty"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	ClaimsSupported                   []string `json:"claims_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported,omitempty"`
	PromptValuesSupported             []string `json:"prompt_values_supported,omitempty"`
	UILocalesSupported                []string `json:"ui_locales_supported,omitempty"`
	ClaimTypesSupported               []string `json:"claim_types_supported,omitempty"`
	AuthorizationResponseIssSupported bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	DisplayValuesSupported            []string `json:"display_values_supported,omitempty"`
	ACRValuesSupported                []string `json:"acr_values_supported,omitempty"`
	ClaimsParameterSupported          bool     `json:"claims_parameter_supported"`
	RequestParameterSupported         bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported      bool     `json:"request_uri_parameter_supported"`

	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"` // RFC 9126
	BackChannelLogoutSupported         bool   `json:"backchannel_logout_supported,omitempty"`
	BackChannelLogoutSessionSupported  bool   `json:"backchannel_logout_session_supported,omitempty"`

	IntrospectionEndpoint                              string   `json:"introspection_endpoint,omitempty"` // RFC 7662
	TokenEndpointAuthSigningAlgValuesSupported         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported          []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported             []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	TLSClientCertificateBoundAccessTokens              bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705, section 3.3

	// MTLSEndpointAliases are the endpoints for a client that shows a
	// certificate, where they have other addresses (RFC 8705, section 5).
	MTLSEndpointAliases *EndpointAliases `json:"mtls_endpoint_aliases,omitempty"`
}

// EndpointAliases are other addresses of endpoints.
type EndpointAliases struct {
	TokenEndpoint               string `json:"token_endpoint,omitempty"`
	DeviceAuthorizationEndpoint string `json:"device_authorization_endpoint,omitempty"`
	RevocationEndpoint          string `json:"revocation_endpoint,omitempty"`
}
