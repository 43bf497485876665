import type { Redis } from 'ioredis'
import { bodiless, get, post } from '../connection.ts'
import type { Client } from '../load.ts'
import { rotating } from '../scenarios.ts'
import { drawSessions, promote, type Sampled } from './sample.ts'
import type { Size } from './size.ts'

/** One kind of request. */
export interface Operation {
  name: string
  /** The clients of one round, each of which sends one request. */
  clients(): Promise<readonly Client[]> | readonly Client[]
  /** The status of every answer; 200 by default. */
  status?: number
}

export const PASSWORD = 'a perfectly long passphrase'
/** Requests of each kind in a round. */
const COUNT = 60

/** What is measured on a size, in order. Sessions that an operation ends are drawn for each round. */
export async function prepareOperations(size: Size, redis: Redis): Promise<Operation[]> {
  const taken = new Set<string>()
  const draw = (count: number) => drawSessions(size, count, taken)
  const [administrator, ...people] = (await draw(1 + 3 * COUNT)) as [Sampled, ...Sampled[]]
  await promote(size, administrator)
  const some = (at: number) => people.slice(at * COUNT, (at + 1) * COUNT)
  const families = some(0).map(({ refreshToken }) => rotating(refreshToken))
  const readers = some(1)

  const each = (people: readonly Sampled[], request: (person: Sampled) => string): Client[] =>
    people.map((person) => ({ next: () => request(person) }))
  const asAdministrator = (path: string) => () => {
    const request = get(path, administrator.accessToken())
    return Array.from({ length: COUNT }, () => ({ next: () => request }))
  }
  const page = async (path: string) => {
    const answer = await fetch(size.app.url + path, {
      headers: { authorization: `Bearer ${administrator.accessToken()}` },
    })
    return ((await answer.json()) as { next_cursor: string }).next_cursor
  }
  const usersAfter = await page('/admin/users')
  const eventsAfter = await page('/admin/audit')
  const rare = encodeURIComponent(readers[0]?.email.replace(/^[^.]*\.[^.]*/, '').slice(0, 10) ?? '')

  return [
    { name: 'refresh, family in Redis', clients: () => families },
    {
      name: 'refresh, from the ledger',
      async clients() {
        await redis.del(some(0).map(({ familyHash }) => `rt:{${familyHash}}`))
        return families
      },
    },
    {
      name: 'sign-in',
      clients: () =>
        each(some(2), ({ email }) => post('/auth/login', { email, password: PASSWORD, transport: 'body' })),
    },
    { name: '/me', clients: () => each(readers, (person) => get('/me', person.accessToken())) },
    {
      name: 'list sessions',
      clients: () => each(readers, (person) => get('/auth/sessions?ended=true', person.accessToken())),
    },
    {
      name: 'list activity',
      clients: () => each(readers, (person) => get('/auth/activity', person.accessToken())),
    },
    {
      name: 'end a session',
      status: 204,
      clients: async () =>
        each(await draw(COUNT), (person) =>
          bodiless('DELETE', `/auth/sessions/${person.sessionId}`, person.accessToken()),
        ),
    },
    {
      name: 'sign out',
      status: 204,
      clients: async () =>
        each(await draw(COUNT), ({ refreshToken }) => post('/auth/logout', { refresh_token: refreshToken })),
    },
    { name: 'admin: newest users', clients: asAdministrator('/admin/users') },
    { name: 'admin: next users', clients: asAdministrator(`/admin/users?cursor=${usersAfter}`) },
    { name: 'admin: search, common', clients: asAdministrator('/admin/users?query=kowalski') },
    { name: 'admin: search, one match', clients: asAdministrator(`/admin/users?query=${rare}`) },
    { name: 'admin: search, no match', clients: asAdministrator('/admin/users?query=nobody%20at%20all') },
    {
      name: 'admin: one user',
      clients: () =>
        each(readers, ({ userId }) => get(`/admin/users/${userId}`, administrator.accessToken())),
    },
    { name: 'admin: newest events', clients: asAdministrator('/admin/audit') },
    { name: 'admin: next events', clients: asAdministrator(`/admin/audit?cursor=${eventsAfter}`) },
    { name: 'admin: events of a type', clients: asAdministrator('/admin/audit?type=password_change') },
    {
      name: "admin: a user's events",
      clients: () =>
        each(readers, ({ userId }) =>
          get(`/admin/audit?user_id=${userId}&type=login`, administrator.accessToken()),
        ),
    },
  ]
}
