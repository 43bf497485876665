import { readFile } from 'node:fs/promises'
import type { JSONWebKeySet } from 'jose'
import {
  ADMIN_SCOPES,
  AUTH_METHODS,
  type ClientChanges,
  GRANT_TYPES,
  type NewClient,
} from '../core/clients/clients.ts'
import { type Call, UsageError } from './commands.ts'
import { readAlgorithm, readCount, readList, readWord } from './values.ts'

type Options = Pick<Call, 'flags' | 'values'>

/** A client as the options of `clients create` describe it. @throws {UsageError} */
export async function readNewClient(name: string, options: Options): Promise<NewClient> {
  const { auth = 'client_secret', grants } = options.values
  const authMethod = readWord('--auth', auth, AUTH_METHODS)
  const changes = await readClientChanges(options)
  const forUsers = (changes.redirectUris ?? []).length > 0
  if (!grants && !forUsers && authMethod === 'none')
    throw new UsageError(
      'a client that does not authenticate gets tokens for users only: say with --redirect-uris where they come back to it, or name its --grants',
    )
  const grantTypes: NewClient['grantTypes'] = forUsers
    ? ['authorization_code', 'refresh_token']
    : ['client_credentials']
  return { grantTypes, ...changes, name, authMethod }
}

/** What the options of `clients change` say; the rest stays. @throws {UsageError} */
export async function readClientChanges({ flags, values }: Options): Promise<ClientChanges> {
  const given: { [Name in keyof ClientChanges]: ClientChanges[Name] | undefined } = {
    name: values.name,
    grantTypes: onto(values.grants, (text) =>
      readList(text).map((each) => readWord('--grants', each, GRANT_TYPES)),
    ),
    jwks: values.jwks === undefined ? undefined : await readKeys(values.jwks),
    uri: onto(values.uri, orNone),
    redirectUris: onto(values['redirect-uris'], readList),
    postLogoutRedirectUris: onto(values['post-logout-redirect-uris'], readList),
    backchannelLogoutUri: onto(values['backchannel-logout-uri'], orNone),
    idTokenAlg: onto(values['id-token-alg'], (text) =>
      text === '' ? null : readAlgorithm('--id-token-alg', text),
    ),
    lateWindow: onto(values['late-window'], readCount),
    adminScopes: onto(values['admin-scopes'], (text) =>
      readList(text).map((each) => readWord('--admin-scopes', each, ADMIN_SCOPES)),
    ),
    isFirstParty: readSwitch(flags, 'first-party', 'third-party'),
    requiresDpop: readSwitch(flags, 'requires-dpop', 'allows-bearer'),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const onto = <T>(text: string | undefined, read: (text: string) => T) =>
  text === undefined ? undefined : read(text)
const orNone = (text: string) => (text === '' ? null : text)

function readSwitch(flags: Call['flags'], on: string, off: string): boolean | undefined {
  if (flags.has(on) && flags.has(off)) throw new UsageError(`--${on} and --${off} exclude each other`)
  return flags.has(on) || (flags.has(off) ? false : undefined)
}

async function readKeys(file: string): Promise<JSONWebKeySet> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`--jwks must be a file with a JWK set: ${(error as Error).message}`)
  }
}
