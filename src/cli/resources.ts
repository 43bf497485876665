import {
  changeRegisteredResource,
  registerResource,
  removeResource,
} from '../core/client-registry/client-registry.ts'
import {
  listResources,
  type NewResource,
  type ResourceChanges,
  TOKEN_TYPES,
} from '../core/clients/clients.ts'
import { resourceDocument } from '../http/registry-documents.ts'
import { ACCESS_TOKEN_TTL } from '../platform/access-token-times.ts'
import { type Call, parseCall, UsageError } from './commands.ts'
import { withDatabase } from './operator-database.ts'
import { line, printList } from './output.ts'
import { explained, openRegistry } from './registry.ts'
import { readAlgorithm, readCount, readList, readWord } from './values.ts'

/** `resources create|change|list|delete`: the APIs that accept access tokens. */
export async function resources(args: readonly string[]): Promise<void> {
  const { action, about: identifier = '', flags, values } = parseCall('resources', args)
  await withDatabase(async (context) => {
    if (action === 'list') return printAll(await listResources(context.db), flags.has('json'))
    const { deps, by } = openRegistry(context)
    if (action === 'create') {
      await explained('resource', registerResource(deps, by, readNew(identifier, values)))
      return console.log(`${identifier} is registered`)
    }
    if (action === 'change') {
      const changes = readChanges(values)
      if (Object.keys(changes).length === 0) throw new UsageError('say what to change')
      await explained('resource', changeRegisteredResource(deps, by, identifier, changes))
      return console.log(`${identifier} is changed`)
    }
    await explained('resource', removeResource(deps, by, identifier))
    console.log(`no more tokens are issued for ${identifier}`)
  })
}

function readNew(identifier: string, values: Call['values']): NewResource {
  const defaults = { name: identifier, scopes: [], tokenTtl: ACCESS_TOKEN_TTL.most, typ: 'at+jwt' } as const
  return { ...defaults, ...readChanges(values), identifier }
}

/** What the options say; the rest stays. @throws {UsageError} */
function readChanges({
  name,
  scopes,
  'open-scopes': open,
  'app-scopes': app,
  ttl,
  typ,
  alg,
  server,
}: Call['values']): ResourceChanges {
  return {
    ...(name === undefined ? {} : { name }),
    ...(scopes === undefined ? {} : { scopes: [...new Set(readList(scopes))] }),
    ...(open === undefined ? {} : { openScopes: [...new Set(readList(open))] }),
    ...(app === undefined ? {} : { appScopes: [...new Set(readList(app))] }),
    ...(ttl === undefined ? {} : { tokenTtl: readCount(ttl) }),
    ...(typ === undefined ? {} : { typ: readWord('--typ', typ, TOKEN_TYPES) }),
    ...(alg === undefined ? {} : { alg: alg === '' ? null : readAlgorithm('--alg', alg) }),
    ...(server === undefined ? {} : { serverId: server === '' ? null : server }),
  }
}

function printAll(found: Awaited<ReturnType<typeof listResources>>, json: boolean): void {
  printList(
    found.map(resourceDocument),
    json,
    ({ identifier, scopes, open_scopes: open, app_scopes: app, token_ttl: ttl, typ, alg, server }) =>
      line([
        identifier,
        scopes.join(' '),
        `${ttl} s`,
        typ,
        alg,
        server,
        openTo('your own app', app),
        openTo('unregistered clients', open),
      ]),
  )
}

const openTo = (whom: string, scopes: readonly string[]) =>
  scopes.length > 0 ? `open to ${whom}: ${scopes.join(' ')}` : null
