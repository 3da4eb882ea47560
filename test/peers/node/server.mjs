// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// An OpenID Provider made of oidc-provider, for the tests of the plugin:
//
//	node server.mjs CONFIGURATION
//
// It says "issuer: URL" when it serves. SIGHUP makes it read the configuration
// again: its keys change, and what it has granted stays. Each request and each
// token that it hands out is a line of JSON in its log, which is written before
// the answer leaves.

import * as fs from 'node:fs'
import * as https from 'node:https'
import Provider from 'oidc-provider'

const read = () => JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const { listen, tls, log: logFile } = read()
const log = (line) => fs.appendFileSync(logFile, JSON.stringify(line) + '\n')

// Only clients that show a certificate come to the second address, so that no
// browser is asked for one (RFC 8705, section 5).
let handle
const serve = (options, port) => new Promise((resolve) => {
  const server = https.createServer({ key: tls.key, cert: tls.certificate, ...options }, (request, response) => handle(request, response))
  server.listen(port, '127.0.0.1', () => resolve(`https://127.0.0.1:${server.address().port}`))
})
const issuer = await serve({}, listen)
const forCertificates = await serve({ ca: tls.clientAuthority, requestCert: true, rejectUnauthorized: false }, 0)

handle = provide()
process.on('SIGHUP', () => { handle = provide(); log({ reloaded: true }) })
console.log(`issuer: ${issuer}`)

function provide() {
  const { keys, clients, idTokenLifetime, conform } = read()
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    cookies: { keys: ['for the tests alone'] },
    scopes: ['openid', 'offline_access', 'email', 'groups'],
    claims: { openid: ['sub'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: conform, // false: API servers read the ID token and nothing else
    findAccount: (_, id) => {
      const { accounts } = read() // as it is now; without it, there is everybody
      const account = accounts ? accounts[id] : { email: `${id}@example.com`, groups: ['platform-engineer'] }
      return account && { accountId: id, claims: () => ({ sub: id, ...account }) }
    },
    rotateRefreshToken: true,
    discovery: {
      mtls_endpoint_aliases: {
        token_endpoint: `${forCertificates}/token`,
        revocation_endpoint: `${forCertificates}/token/revocation`,
      },
    },
    ttl: { IdToken: idTokenLifetime, AccessToken: 3600, Session: 3600, Grant: 3600, Interaction: 3600, RefreshToken: 3600 },
    features: {
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' && ctx.socket.getPeerCertificate().subjectaltname === `DNS:${expected}`,
      },
    },
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', 'tls_client_auth', 'self_signed_tls_client_auth',
    ],
  })
  const postOnly = new Set(clients.filter((c) => c.token_endpoint_auth_method === 'client_secret_post').map((c) => c.client_id))
  provider.use(async (ctx, next) => {
    // oidc-provider takes a secret either way; others are strict.
    const [id] = Buffer.from(ctx.get('authorization').replace(/^Basic /, ''), 'base64').toString().split(':')
    if (postOnly.has(id)) {
      ctx.status = 401
      ctx.body = { error: 'invalid_client', error_description: 'this client sends its secret in the form' }
    } else {
      await next()
    }
    if (ctx.path === '/device/auth' && ctx.status === 200) {
      ctx.body.interval = 1
    }
    log({
      method: ctx.method, path: ctx.path, status: ctx.status, header: ctx.get('x-peer'),
      grant: ctx.oidc?.params?.grant_type, pkce: ctx.oidc?.params?.code_challenge_method, problem: ctx.body?.error_description,
    })
    for (const kind of ['access_token', 'refresh_token', 'id_token', 'device_code']) {
      if (ctx.body?.[kind]) {
        log({ issued: kind, value: ctx.body[kind] })
      }
    }
  })
  return provider.callback()
}
