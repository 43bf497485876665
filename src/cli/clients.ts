import {
  addClientSecret,
  allowScopes,
  blockClient,
  changeRegisteredClient,
  disableClient,
  enableClient,
  endClientSecrets,
  registerClient,
  removeClient,
  unblockClient,
} from '../core/client-registry/client-registry.ts'
import { findClient, listBlocked, listClients } from '../core/clients/clients.ts'
import { clientDocument } from '../http/registry-documents.ts'
import type { Database } from '../platform/database.ts'
import { readClientChanges, readNewClient } from './client-options.ts'
import { type Call, parseCall, UsageError } from './commands.ts'
import { type OperatorDatabase, withDatabase } from './operator-database.ts'
import { line, printList } from './output.ts'
import { explained, openRegistry } from './registry.ts'
import { readList } from './values.ts'

/** `clients …`: the third-party clients that get tokens. */
export async function clients(args: readonly string[]): Promise<void> {
  const call = parseCall('clients', args)
  await withDatabase((context) => run(context, call))
}

async function run(context: OperatorDatabase, call: Call): Promise<void> {
  const { action, about: id = '', flags } = call
  if (action === 'list') return list(context.db, flags.has('json'))
  if (action === 'blocked') return printBlocked(context.db, flags.has('json'))
  if (action === 'show') return show(context.db, id, flags.has('json'))
  const { deps, by } = openRegistry(context)
  switch (action) {
    case 'create': {
      const made = await explained('client', registerClient(deps, by, await readNewClient(id, call)))
      console.log(`client_id ${made.id}`)
      if (made.secret) console.log(`client_secret ${made.secret}`)
      return
    }
    case 'change': {
      const changes = await readClientChanges(call)
      if (Object.keys(changes).length === 0) throw new UsageError('say what to change')
      await explained('client', changeRegisteredClient(deps, by, id, changes))
      return console.log(`${id} is changed`)
    }
    case 'allow': {
      const { resource = '', scopes: text = '' } = call.values
      const scopes = readList(text)
      await explained('client', allowScopes(deps, by, id, { resource, scopes }))
      return console.log(`${id} may ask for ${scopes.join(' ') || 'nothing'} at ${resource}`)
    }
    case 'add-secret': {
      const secret = await explained('client with secrets', addClientSecret(deps, by, id))
      return console.log(`client_secret ${secret}`)
    }
    case 'end-old-secrets':
      await explained('client with secrets', endClientSecrets(deps, by, id))
      return console.log('only the newest secret works')
    case 'disable':
      await explained('client', disableClient(deps, by, id))
      return console.log(`${id} is refused everywhere within a second`)
    case 'enable':
      await explained('client', enableClient(deps, by, id))
      return console.log(`${id} is accepted again`)
    case 'block':
      await explained('client', blockClient(deps, by, id))
      return console.log(`${id} is refused everywhere within a second`)
    case 'unblock':
      await explained('blocked client', unblockClient(deps, by, id))
      return console.log(`${id} is accepted again`)
    default:
      await explained('client', removeClient(deps, by, id))
      return console.log(`${id} is deleted`)
  }
}

async function list(db: Database, json: boolean): Promise<void> {
  printList((await listClients(db)).map(clientDocument), json, (client) => {
    const may = client.permissions.map(({ resource, scopes }) => `${resource}: ${scopes.join(' ')}`)
    const state = client.disabled_at && `disabled since ${client.disabled_at}`
    const own = client.admin_scopes.join(' ')
    return line([client.client_id, client.name, client.auth_method, ...may, own, state])
  })
}

async function printBlocked(db: Database, json: boolean): Promise<void> {
  const blocked = (await listBlocked(db)).map(({ name, createdAt }) => ({
    client_id: name,
    blocked_at: createdAt.toISOString(),
  }))
  printList(blocked, json, ({ client_id: id, blocked_at: at }) => line([id, `blocked since ${at}`]))
}

async function show(db: Database, id: string, json: boolean): Promise<void> {
  const found = await findClient(db, id)
  if (!found) throw new Error('there is no such client')
  const client = clientDocument(found)
  if (json) return console.log(JSON.stringify(client))
  for (const [name, value] of Object.entries(client)) {
    const label = `${name}:`.padEnd(LABEL_WIDTH)
    console.log(line([label, ...[asText(value)].flat()]))
  }
}

const LABEL_WIDTH = 'post_logout_redirect_uris:'.length

function asText(value: unknown): string | string[] {
  if (Array.isArray(value)) return value.map((each) => [asText(each)].flat().join(' '))
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '')
}
