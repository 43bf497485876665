import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { CallOptions, Cluster } from './cluster.ts'
import { type createChecks, generationOf, mayEnd, type Session } from './session.ts'

export type Action =
  /** The owner refreshes; `lost` answers never arrive. */
  | { do: 'refresh'; node: number; lost: number }
  | { do: 'steal'; behind: number }
  | { do: 'use'; node: number }
  | { do: 'access'; node: number }
  | { do: 'forge'; node: number; bit: number }
  | { do: 'end'; node: number; how: (typeof WAYS_TO_END)[number] }

const WAYS_TO_END = ['token', 'bearer', 'all', 'delete', 'others', 'password'] as const
const node = fc.integer({ min: 0, max: 1 })

export const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('refresh' as const),
      node,
      lost: fc.constantFrom(0, 0, 0, 1, 2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('steal' as const), behind: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('use' as const), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('access' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forge' as const), node, bit: fc.nat(53 * 8 - 1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('end' as const), node, how: fc.constantFrom(...WAYS_TO_END) }),
  },
)

const TRIES = 3
// A client without a key relies on the grace window: an answer it has not got by then, it may never get.
const PATIENCE_MS = 7_000

export type Actors = ReturnType<typeof createActors>

export function createActors(
  cluster: Cluster,
  checks: ReturnType<typeof createChecks>,
  sessions: readonly Session[],
  trace: (line: string) => void,
) {
  const { must, present, access, forged } = checks
  let attempts = 0

  /** A client without a key that waited too long may be taken for a thief. */
  function expirePending(session: Session, waited = 0): void {
    const { pending } = session
    if (
      pending &&
      !pending.key &&
      session.kind !== 'client' &&
      performance.now() - pending.since + waited > PATIENCE_MS
    ) {
      session.mayEnd = true
      session.pending = undefined
    }
  }

  async function refresh(session: Session, first: number, lost: number): Promise<void> {
    expirePending(session)
    if (session.kind === 'tabs') return inTwoTabs(session)
    if (session.kind === 'client') return inProcesses(session, first === 0 ? [0, 1] : [1], lost)
    attempts += 1
    const key = session.kind === 'keyed' ? `attempt ${attempts}` : ''
    const again = session.pending !== undefined
    session.pending ??= { generation: session.held, key, since: performance.now() }
    const { pending } = session
    for (let tries = 0; tries < TRIES + lost; tries += 1) {
      const repeated = pending.key !== '' && (again || tries > 0)
      const reply = await present(session, (first + tries) % 2, pending.generation, pending.key, repeated)
      const heard = tries >= lost || (!pending.key && session.creditsUsed >= 4)
      if (!heard) session.creditsUsed += 1
      else if (reply.status === 200) {
        session.held = pending.generation + 1
        session.pending = undefined
        return
      } else if (reply.status === 409) {
        must(!pending.key || session.mayEnd, `${session.name}: its own retry was superseded`)
      }
      if (reply.status === 401) return
    }
    session.creditsUsed += 1
    if (!pending.key && session.creditsUsed > 4) session.mayEnd = true
  }

  /** Two tabs share one stored token, each with its own key; after a 409 they read the token again. */
  async function inTwoTabs(session: Session): Promise<void> {
    const generation = session.held
    attempts += 1
    const replies = await Promise.all(
      [0, 1].map((node) => present(session, node, generation, `tab ${node} ${attempts}`)),
    )
    if (replies.some(({ status }) => status === 200)) {
      session.held = generation + 1
      session.pending = undefined
    } else session.pending ??= { generation, key: '', since: performance.now() }
    session.creditsUsed += 1
    if (session.pending && session.creditsUsed > 4) session.mayEnd = true
  }

  /** Each process keeps the token that it was given, however old; at home it is always served. */
  async function inProcesses(session: Session, processes: readonly number[], lost: number): Promise<void> {
    const served = await Promise.all(
      processes.map(async (process) => {
        for (let tries = 0; tries < TRIES + lost; tries += 1) {
          const reply = await present(session, (process + tries) % 2, session.copies[process] ?? 0)
          must(reply.status !== 409 || mayEnd(session), `${session.name}: a copy at home was superseded`)
          if (reply.status === 401) return false
          if (reply.status !== 200 || tries < lost) continue
          session.copies[process] = generationOf(reply.body.refresh_token)
          return true
        }
        return false
      }),
    )
    session.held = Math.max(...session.copies)
    session.pending = served.every(Boolean)
      ? undefined
      : { generation: session.held, key: '', since: performance.now() }
  }

  /** A thief uses a token: from then on the owner may be signed out. */
  async function use(session: Session, node: number): Promise<void> {
    if (session.kind === 'client') session.stolen ??= Math.min(...session.copies)
    if (session.stolen === undefined) return
    session.mayEnd = true
    const { status, body } = await present(session, node, session.stolen, '', false, 'elsewhere')
    if (status === 200) session.stolen = generationOf(body.refresh_token)
  }

  async function end(session: Session, node: number, how: (typeof WAYS_TO_END)[number]): Promise<void> {
    if (session.kind === 'client') return
    const theirs = sessions.filter((other) => other.user === session.user && other !== session)
    const siblings = theirs.filter(({ kind }) => kind !== 'client')
    const clients = theirs.filter(({ kind }) => kind === 'client')
    const withClients = (own: readonly Session[]) => [
      ...own,
      ...clients.filter(({ parent }) => own.some((each) => each === parent)),
    ]
    const bearer = session.bearers.at(-1)
    const concerned = {
      token: withClients([session]),
      bearer: withClients([session]),
      all: [session, ...theirs],
      delete: withClients(siblings.slice(0, 1)),
      others: withClients(siblings),
      password: theirs,
    }[how]
    for (const each of concerned) each.mayEnd = true
    const password = session.user.password
    const [method, path, options] = {
      token: ['POST', '/auth/logout', { body: { refresh_token: session.tokens[session.held] } }],
      bearer: ['POST', '/auth/logout', { bearer, body: {} }],
      all: ['POST', '/auth/logout-all', { bearer }],
      delete: ['DELETE', `/auth/sessions/${siblings[0]?.id}`, { bearer }],
      others: ['DELETE', '/auth/sessions', { bearer }],
      password: [
        'POST',
        '/auth/change-password',
        { bearer, body: { current_password: password, new_password: password } },
      ],
    }[how] as [string, string, CallOptions]
    const { status, body } = await cluster.call(node, method, path, options)
    trace(
      `${session.name} ends ${concerned.map(({ name }) => name)} (${how}) on ${node}: ${status} ${body?.code ?? ''}`,
    )
    must([0, 204, 401, 503].includes(status), `a revocation answered ${status} ${JSON.stringify(body)}`)
    const refused = status === 401 && body.code !== 'invalid_credentials'
    must(!refused || session.mayEnd, `a revocation was refused: ${JSON.stringify(body)}`)
    // A refused bearer ends nothing, and logging out with an ended token or bearer is not an error.
    const proven = how !== 'bearer' || session.over === undefined
    if (status === 503 && body.code === 'revocation_pending')
      for (const each of concerned) each.pendingEnd = true
    if (status !== 204 || !proven) return
    for (const each of concerned) each.over ??= performance.now()
    await Promise.all(concerned.flatMap((each) => [0, 1].map((node) => untilRefused(each, node))))
  }

  /** Waits until a node refuses an ended session's access token: a cut-off node may take a second. */
  async function untilRefused(session: Session, node: number): Promise<void> {
    const isLong = () => performance.now() - (session.over as number) > 1_000
    for (let asked = false; !asked; ) {
      asked = isLong()
      if ((await access(session, node)) === 401) return
      await sleep(20)
    }
  }

  return {
    expirePending,
    refresh,
    async run(session: Session, action: Action): Promise<void> {
      if (action.do === 'refresh') await refresh(session, action.node, action.lost)
      else if (action.do === 'steal') session.stolen = Math.max(0, session.held - action.behind)
      else if (action.do === 'use') await use(session, action.node)
      else if (action.do === 'access') await access(session, action.node)
      else if (action.do === 'forge') await forged(session, action.node, action.bit)
      else await end(session, action.node, action.how)
    },
  }
}
