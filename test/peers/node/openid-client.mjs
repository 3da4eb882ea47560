// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// A client made of openid-client, for the tests of the provider:
//
//	node openid-client.mjs SETTINGS
//
// What a browser must open is a line {"open": URL} on standard output. If an
// answer comes back from there, it is the next line of standard input. The last
// line is {"saw": ...}. Whatever the library refuses ends the program.

import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as readline from 'node:readline'
import { Issuer, custom, generators } from 'openid-client'

const settings = JSON.parse(process.argv[2])
const { issuer: address, redirectURI, confidential } = settings
custom.setHttpOptionsDefaults({ timeout: 20_000 })

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const show = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const opened = async (url) => {
  show({ open: url })
  return JSON.parse((await answers.next()).value)
}

const issuer = await Issuer.discover(address)
const client = make({ ...settings.client, redirect_uris: [redirectURI], response_types: ['code'] }, settings.keyFile)
const saw = {}

// 1. A login, whose answer is in the address.
let login = checks()
let request = {
  scope: 'openid email groups', max_age: 3600, state: login.state, nonce: login.nonce,
  code_challenge: generators.codeChallenge(login.code_verifier), code_challenge_method: 'S256',
}
let answer = await opened(client.authorizationUrl(request))
let tokens = await client.callback(redirectURI, client.callbackParams(answer.url), login)
saw.claims = tokens.claims()
saw.userinfo = await client.userinfo(tokens)
saw.wrongAccessToken = await refusal(client.userinfo('wrong'))
saw.codeAgain = await refusal(client.grant({
  grant_type: 'authorization_code', code: client.callbackParams(answer.url).code, redirect_uri: redirectURI, code_verifier: login.code_verifier,
}))

// 2. Another one, whose request is pushed and whose answer is a form.
login = checks()
request = {
  ...request, state: login.state, nonce: login.nonce, code_challenge: generators.codeChallenge(login.code_verifier),
  response_mode: 'form_post', redirect_uri: redirectURI, response_type: 'code', client_id: client.metadata.client_id,
}
const pushed = await client.pushedAuthorizationRequest(request)
answer = await opened(client.authorizationUrl({ request_uri: pushed.request_uri, scope: undefined, response_type: undefined, redirect_uri: undefined }))
tokens = await client.callback(redirectURI, client.callbackParams(answer), login)
saw.pushed = { method: answer.method, subject: tokens.claims().sub }

// 3. What the tokens are good for, until they are revoked.
const renewed = await client.refresh(tokens)
saw.refreshed = { subject: renewed.claims().sub, another: renewed.id_token !== tokens.id_token && renewed.refresh_token !== tokens.refresh_token }
if (confidential) {
  saw.introspected = await client.introspect(renewed.access_token, 'access_token')
}
await client.revoke(renewed.refresh_token, 'refresh_token')
saw.revoked = await refusal(client.refresh(renewed.refresh_token))
if (confidential) {
  saw.introspectedAfterwards = await client.introspect(renewed.refresh_token, 'refresh_token')
}

// 4. A machine, and a device.
const machine = make({ ...settings.machine, redirect_uris: [], response_types: [] })
const own = await machine.grant({ grant_type: 'client_credentials' })
saw.machine = { type: own.token_type, idToken: own.id_token !== undefined, introspected: await machine.introspect(own.access_token) }

const device = make({ ...settings.device, redirect_uris: [], response_types: [] })
const begun = await device.deviceAuthorization({ scope: 'openid email groups' })
await opened(begun.verification_uri_complete)
// poll would wait for the interval first.
const found = await device.grant({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: begun.device_code })
saw.device = (await device.userinfo(found)).email

// 5. A logout.
await opened(client.endSessionUrl({ id_token_hint: tokens.id_token }))
show({ saw })
process.exit()

function make(metadata, keyFile) {
  const key = keyFile && crypto.createPrivateKey(fs.readFileSync(keyFile)).export({ format: 'jwk' })
  return new issuer.Client(metadata, key ? { keys: [key] } : undefined)
}

function checks() {
  return {
    state: generators.state(), nonce: generators.nonce(), code_verifier: generators.codeVerifier(),
    response_type: 'code', max_age: 3600,
  }
}

async function refusal(promise) {
  try {
    await promise
  } catch (problem) {
    if (problem.error) {
      return problem.error
    }
    throw problem
  }
  return 'none'
}
