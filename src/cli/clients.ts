import { createPublicKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import {
  AUTH_METHODS,
  type AuthMethod,
  addSecret,
  allow,
  createClient,
  deleteClient,
  endOldSecrets,
  GRANT_TYPES,
  type GrantType,
  listClients,
  setDisabled,
} from '../core/clients/clients.ts'
import { type Call, parseCall, UsageError } from './commands.ts'
import { type OperatorDatabase, withDatabase } from './operator-database.ts'
import { line, printList } from './output.ts'
import { readScopes } from './resources.ts'

/** `clients …`: the third-party clients that get tokens. */
export async function clients(args: readonly string[]): Promise<void> {
  const call = parseCall('clients', args)
  await withDatabase((context) => run(context, call))
}

async function run(
  context: OperatorDatabase,
  { action, about: id = '', flags, values }: Call,
): Promise<void> {
  const { db, transact } = context
  const now = new Date()
  switch (action) {
    case 'create':
      return create(context, id, values)
    case 'list':
      return list(context, flags.has('json'))
    case 'allow':
      return allowScopes(context, id, values)
    case 'add-secret': {
      const secret = await transact((tx) => addSecret(tx, now, id))
      if (secret === null) throw new Error('there is no such client with secrets')
      return console.log(`client_secret ${secret}`)
    }
    case 'end-old-secrets':
      return tell(await transact((tx) => endOldSecrets(tx, id)), 'only the newest secret works')
    case 'disable':
      return tell(await setDisabled(db, now, id, true), `${id} is refused everywhere within a second`)
    case 'enable':
      return tell(await setDisabled(db, now, id, false), `${id} is accepted again`)
    default:
      return tell(await deleteClient(db, id), `${id} is deleted`)
  }
}

function tell(isDone: boolean, text: string): void {
  if (!isDone) throw new Error('there is no such client')
  console.log(text)
}

async function create({ transact }: OperatorDatabase, name: string, values: Call['values']): Promise<void> {
  const { auth = 'client_secret', grants = 'client_credentials', jwks: file } = values
  const grantTypes = grants.split(' ').filter(Boolean)
  if (!(AUTH_METHODS as readonly string[]).includes(auth))
    throw new UsageError(`--auth must be one of ${AUTH_METHODS.join(', ')}`)
  if (!grantTypes.every((type) => (GRANT_TYPES as readonly string[]).includes(type)))
    throw new UsageError(`--grants must be of ${GRANT_TYPES.join(', ')}`)
  if ((auth === 'private_key_jwt') !== (file !== undefined))
    throw new UsageError('--jwks belongs to --auth private_key_jwt')
  if (auth === 'none' && grantTypes.includes('client_credentials'))
    throw new UsageError('client_credentials needs a client that authenticates')
  const { id, secret } = await transact(async (tx) =>
    createClient(tx, new Date(), {
      name,
      authMethod: auth as AuthMethod,
      grantTypes: grantTypes as GrantType[],
      jwks: file === undefined ? undefined : await readKeys(file),
    }),
  )
  console.log(`client_id ${id}`)
  if (secret) console.log(`client_secret ${secret}`)
}

/** A JWK set of public keys. @throws {UsageError} */
async function readKeys(file: string): Promise<JSONWebKeySet> {
  try {
    const jwks: JSONWebKeySet = JSON.parse(await readFile(file, 'utf8'))
    createLocalJWKSet(jwks)
    if (jwks.keys.length === 0) throw new Error('it has no keys')
    if (jwks.keys.some((key) => 'd' in key || 'k' in key)) throw new Error('it has private keys')
    for (const key of jwks.keys) {
      const { modulusLength = 2_048 } = createPublicKey({ key, format: 'jwk' }).asymmetricKeyDetails ?? {}
      if (modulusLength < 2_048) throw new Error('RSA keys need 2048 bits or more')
    }
    return jwks
  } catch (error) {
    throw new UsageError(`${file} is no JWK set of public keys: ${(error as Error).message}`)
  }
}

async function allowScopes({ transact }: OperatorDatabase, clientId: string, values: Call['values']) {
  const { resource: identifier = '', scopes: text = '' } = values
  const scopes = readScopes(text)
  const refused = await transact((tx) => allow(tx, { clientId, identifier, scopes }))
  if (refused?.missing === 'client') throw new Error('there is no such client')
  if (refused?.missing === 'resource') throw new Error('there is no such resource')
  if (refused) throw new Error(`the resource does not have ${[refused.missing].flat().join(' ')}`)
  const what = scopes.length > 0 ? scopes.join(' ') : 'nothing'
  console.log(`${clientId} may ask for ${what} at ${identifier}`)
}

async function list({ db }: OperatorDatabase, json: boolean): Promise<void> {
  const rows = (await listClients(db)).map((client) => ({
    client_id: client.id,
    name: client.name,
    auth_method: client.authMethod,
    grant_types: client.grantTypes,
    permissions: client.resources.map(({ resourceIdentifier, scopes }) => ({
      resource: resourceIdentifier,
      scopes,
    })),
    serves: client.serves.map(({ identifier }) => identifier),
    secrets: client.secrets.map(({ createdAt, lastUsedAt }) => ({
      created_at: createdAt.toISOString(),
      last_used_at: lastUsedAt?.toISOString() ?? null,
    })),
    created_at: client.createdAt.toISOString(),
    disabled_at: client.disabledAt?.toISOString() ?? null,
  }))
  printList(rows, json, (client) => {
    const may = client.permissions.map(({ resource, scopes }) => `${resource}: ${scopes.join(' ')}`)
    const state = client.disabled_at && `disabled since ${client.disabled_at}`
    return line([client.client_id, client.name, client.auth_method, ...may, state])
  })
}
