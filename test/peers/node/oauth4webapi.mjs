// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// A client made of oauth4webapi, for the tests of the provider. It is run as
// openid-client.mjs is, and says the same.

import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as readline from 'node:readline'

// Node.js 18 has these in a module only.
globalThis.crypto ??= crypto.webcrypto
globalThis.CryptoKey ??= crypto.webcrypto.CryptoKey
const oauth = await import('oauth4webapi')

const settings = JSON.parse(process.argv[2])
const { redirectURI, confidential, client } = settings

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const show = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const opened = async (url) => {
  show({ open: url })
  return JSON.parse((await answers.next()).value)
}

const issuer = new URL(settings.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
const authentication = await authenticationOf(client, settings.keyFile)
const saw = {}

// 1. A login, whose answer is in the address.
let login = await begin({})
let answer = await opened(`${as.authorization_endpoint}?${login.request}`)
let parameters = oauth.validateAuthResponse(as, client, new URL(answer.url), login.state)
let tokens = await redeem(parameters, login)
saw.claims = oauth.getValidatedIdTokenClaims(tokens)
saw.userinfo = await userinfo(client, tokens.access_token, saw.claims.sub)
saw.wrongAccessToken = await refusal(userinfo(client, 'wrong', saw.claims.sub))
saw.accessToken = (await oauth.validateJwtAccessToken(
  as, new Request(as.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } }), as.issuer,
)).sub
saw.codeAgain = await refusal(redeem(parameters, login))

// 2. Another one, whose request is pushed and whose answer is a form.
login = await begin({ response_mode: 'form_post' })
const pushed = await oauth.processPushedAuthorizationResponse(
  as, client, await oauth.pushedAuthorizationRequest(as, client, authentication, login.request),
)
answer = await opened(`${as.authorization_endpoint}?${new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri })}`)
parameters = oauth.validateAuthResponse(as, client, new URLSearchParams(answer.body), login.state)
tokens = await redeem(parameters, login)
saw.pushed = { method: answer.method, subject: oauth.getValidatedIdTokenClaims(tokens).sub }

// 3. What the tokens are good for, until they are revoked.
const renewed = await refresh(tokens.refresh_token)
saw.refreshed = {
  subject: oauth.getValidatedIdTokenClaims(renewed).sub,
  another: renewed.id_token !== tokens.id_token && renewed.refresh_token !== tokens.refresh_token,
}
if (confidential) {
  saw.introspected = await introspect(client, authentication, renewed.access_token)
}
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, renewed.refresh_token))
saw.revoked = await refusal(refresh(renewed.refresh_token))
if (confidential) {
  saw.introspectedAfterwards = await introspect(client, authentication, renewed.refresh_token)
}

// 4. A machine, and a device.
const { machine, device } = settings
const itself = await authenticationOf(machine)
const own = await oauth.processClientCredentialsResponse(as, machine, await oauth.clientCredentialsGrantRequest(as, machine, itself, {}))
saw.machine = { type: own.token_type, idToken: own.id_token !== undefined, introspected: await introspect(machine, itself, own.access_token) }

const begun = await oauth.processDeviceAuthorizationResponse(
  as, device, await oauth.deviceAuthorizationRequest(as, device, oauth.None(), { scope: 'openid email groups' }),
)
await opened(begun.verification_uri_complete)
const answered = await oauth.deviceCodeGrantRequest(as, device, oauth.None(), begun.device_code)
const found = await oauth.processDeviceCodeResponse(as, device, answered)
await oauth.validateApplicationLevelSignature(as, answered)
saw.device = (await userinfo(device, found.access_token, oauth.getValidatedIdTokenClaims(found).sub)).email

// 5. A logout.
await opened(`${as.end_session_endpoint}?${new URLSearchParams({ id_token_hint: tokens.id_token })}`)
show({ saw })
process.exit()

async function authenticationOf(metadata, keyFile) {
  switch (metadata.token_endpoint_auth_method) {
    case 'client_secret_basic':
      return oauth.ClientSecretBasic(metadata.client_secret)
    case 'client_secret_post':
      return oauth.ClientSecretPost(metadata.client_secret)
    case 'private_key_jwt': {
      const key = crypto.createPrivateKey(fs.readFileSync(keyFile)).export({ format: 'jwk' })
      return oauth.PrivateKeyJwt(await globalThis.crypto.subtle.importKey('jwk', key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']))
    }
  }
  return oauth.None()
}

async function begin(more) {
  const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()]
  const request = new URLSearchParams({
    client_id: client.client_id, redirect_uri: redirectURI, response_type: 'code', scope: 'openid email groups', max_age: 3600, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  })
  return { request, state, nonce, verifier }
}

async function redeem(parameters, { nonce, verifier }) {
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, redirectURI, verifier)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, maxAge: 3600, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, response)
  return tokens
}

async function refresh(refreshToken) {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, refreshToken)
  const tokens = await oauth.processRefreshTokenResponse(as, client, response)
  await oauth.validateApplicationLevelSignature(as, response)
  return tokens
}

async function userinfo(of, accessToken, subject) {
  return oauth.processUserInfoResponse(as, of, subject, await oauth.userInfoRequest(as, of, accessToken))
}

async function introspect(of, authentication, token) {
  return oauth.processIntrospectionResponse(as, of, await oauth.introspectionRequest(as, of, authentication, token))
}

// refusal is the code of an error, in an answer or in its WWW-Authenticate.
async function refusal(promise) {
  try {
    await promise
  } catch (problem) {
    if (problem instanceof oauth.ResponseBodyError) {
      return problem.error
    }
    if (problem instanceof oauth.WWWAuthenticateChallengeError) {
      return problem.cause[0].parameters.error
    }
    throw problem
  }
  return 'none'
}
