import {
  ACCOUNT_SCOPE,
  createResource,
  deleteResource,
  listResources,
  TOKEN_TYPES,
  type TokenType,
} from '../core/clients/clients.ts'
import { ACCESS_TOKEN_TTL } from '../platform/access-token-times.ts'
import { type Call, parseCall, UsageError } from './commands.ts'
import { type OperatorDatabase, withDatabase } from './operator-database.ts'
import { line, printList } from './output.ts'

/** `resources create|list|delete`: the APIs that accept access tokens. */
export async function resources(args: readonly string[]): Promise<void> {
  const call = parseCall('resources', args)
  const { action, about = '', flags } = call
  await withDatabase(async (context) => {
    if (action === 'create') return create(context, about, call.values)
    if (action === 'list') return list(context, flags.has('json'))
    if (!(await deleteResource(context.db, about))) throw new Error('there is no such resource')
    console.log(`no more tokens are issued for ${about}`)
  })
}

async function create({ db, config }: OperatorDatabase, identifier: string, values: Call['values']) {
  const {
    scopes = '',
    ttl = String(ACCESS_TOKEN_TTL.most),
    typ = 'at+jwt',
    name = identifier,
    server,
  } = values
  requireIdentifier(identifier, [config.publicUrl, config.accessToken.audience])
  if (!/^[1-9]\d{0,3}$/.test(ttl) || Number(ttl) > ACCESS_TOKEN_TTL.most)
    throw new UsageError(`--ttl must be a number of seconds up to ${ACCESS_TOKEN_TTL.most}`)
  if (!(TOKEN_TYPES as readonly string[]).includes(typ))
    throw new UsageError(`--typ must be one of ${TOKEN_TYPES.join(', ')}`)
  if (server && !(await db.client.findUnique({ where: { id: server } })))
    throw new Error(`there is no client ${server}`)
  const resource = {
    identifier,
    name,
    scopes: readScopes(scopes),
    tokenTtl: Number(ttl),
    typ: typ as TokenType,
    serverId: server,
  }
  if (!(await createResource(db, new Date(), resource))) throw new Error('there is such a resource already')
  console.log(`${identifier} is registered`)
}

/** RFC 8707 §2: an absolute URI without a fragment. A token for our own API must never come from here. */
function requireIdentifier(identifier: string, own: readonly string[]): void {
  const url = URL.canParse(identifier) ? new URL(identifier) : null
  if (!url || identifier.includes('#') || /[\s"\\]/.test(identifier))
    throw new UsageError(
      'the identifier must be an absolute URI without a fragment, such as https://api.example.com',
    )
  if (own.some((each) => each.replace(/\/$/, '') === identifier.replace(/\/$/, '')))
    throw new UsageError('that is the audience of this server itself')
}

/** Scopes between spaces (RFC 6749 §3.3). @throws {UsageError} */
export function readScopes(text: string): string[] {
  const scopes = [...new Set(text.split(' ').filter(Boolean))]
  const wrong = scopes.find((scope) => !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope) || scope === ACCOUNT_SCOPE)
  if (wrong !== undefined) throw new UsageError(`${wrong} cannot be a scope`)
  return scopes
}

async function list({ db }: OperatorDatabase, json: boolean): Promise<void> {
  const rows = (await listResources(db)).map((resource) => ({
    identifier: resource.identifier,
    name: resource.name,
    scopes: resource.scopes,
    token_ttl: resource.tokenTtl,
    typ: resource.typ,
    server: resource.serverId,
    created_at: resource.createdAt.toISOString(),
  }))
  printList(rows, json, ({ identifier, scopes, token_ttl: ttl, typ, server }) =>
    line([identifier, scopes.join(' '), `${ttl} s`, typ, server]),
  )
}
