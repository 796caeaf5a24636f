// An OpenID provider for the tests: oidc-provider with the keys, clients and claims it is told, over TLS on loopback. Says
// "token <client> <token>" for each client, which it asks itself for over HTTPS, and then "ready". Runs until it is killed.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node provider.mjs settings.json      (oidc-provider in LIENTHONG_NODE_MODULES)

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const from = createRequire(process.env.LIENTHONG_NODE_MODULES + '/')
const { default: Provider } = await import(pathToFileURL(from.resolve('oidc-provider')).href)
const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))

const keys = settings.keys.map(({ kid, pem }) => ({
  ...createPrivateKey(pem).export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256',
}))
const provider = new Provider(settings.issuer, {
  jwks: { keys },
  clients: settings.clients.map(({ id }) => ({
    client_id: id, client_secret: 'secret-of-' + id, grant_types: ['client_credentials'], redirect_uris: [],
    response_types: [], token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256',
  })),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:lienthong',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: '', audience: settings.audience, accessTokenTTL: 3600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: (_, token) => settings.clients.find(({ id }) => id === token.clientId).claims,
})

const server = https.createServer({ key: readFileSync(settings.tls_key), cert: readFileSync(settings.tls_certificate) }, provider.callback())
server.listen(settings.port, '127.0.0.1', async () => {
  for (const { id } of settings.clients) {
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: 'secret-of-' + id })
    const answer = await (await fetch(settings.issuer + '/token', { method: 'POST', body })).json()
    console.log('token', id, answer.access_token ?? JSON.stringify(answer))
  }
  console.log('ready')
})
