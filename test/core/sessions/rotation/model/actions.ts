import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { CallOptions, Cluster } from './cluster.ts'
import type { createChecks, Session } from './session.ts'

export type Action =
  /** Its owner refreshes; `lost` answers never arrive. */
  | { do: 'refresh'; node: number; lost: number }
  | { do: 'steal'; behind: number }
  | { do: 'use'; node: number }
  | { do: 'access'; node: number }
  | { do: 'forge'; node: number; bit: number }
  | { do: 'end'; node: number; how: (typeof ENDINGS)[number] }

const ENDINGS = ['token', 'bearer', 'all', 'delete', 'others', 'password'] as const
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
    arbitrary: fc.record({ do: fc.constant('end' as const), node, how: fc.constantFrom(...ENDINGS) }),
  },
)

const TRIES = 3
// A client without a key relies on the window: what it has not heard by then, it may never.
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

  /** Whoever has no key and has waited too long may be taken for a thief. */
  function loseHope(session: Session, waited = 0): void {
    const { pending } = session
    if (pending && !pending.key && performance.now() - pending.since + waited > PATIENCE_MS) {
      session.mayEnd = true
      session.pending = undefined
    }
  }

  async function refresh(session: Session, first: number, lost: number): Promise<void> {
    loseHope(session)
    if (session.kind === 'tabs') return inTwoTabs(session)
    attempts += 1
    const key = session.kind === 'keyed' ? `attempt ${attempts}` : ''
    const again = session.pending !== undefined
    session.pending ??= { generation: session.held, key, since: performance.now() }
    const { pending } = session
    for (let tries = 0; tries < TRIES + lost; tries += 1) {
      const repeated = pending.key !== '' && (again || tries > 0)
      const reply = await present(session, (first + tries) % 2, pending.generation, pending.key, repeated)
      const heard = tries >= lost || (!pending.key && session.mercies >= 4)
      if (!heard) session.mercies += 1
      else if (reply.status === 200) {
        session.held = pending.generation + 1
        session.pending = undefined
        return
      } else if (reply.status === 409) {
        must(!pending.key || session.mayEnd, `${session.name}: its own retry was superseded`)
      }
      if (reply.status === 401) return
    }
    session.mercies += 1
    if (!pending.key && session.mercies > 4) session.mayEnd = true
  }

  /** Two that share what is stored, each with a key of its own; a 409 means to read it again. */
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
    session.mercies += 1
    if (session.pending && session.mercies > 4) session.mayEnd = true
  }

  /** A thief uses a token: from then on its owner may be out. */
  async function use(session: Session, node: number): Promise<void> {
    if (session.loot === undefined) return
    session.mayEnd = true
    const { status } = await present(session, node, session.loot)
    if (status === 200) session.loot += 1
  }

  async function end(session: Session, node: number, how: (typeof ENDINGS)[number]): Promise<void> {
    const siblings = sessions.filter((other) => other.user === session.user && other !== session)
    const bearer = session.bearers.at(-1)
    const concerned = {
      token: [session],
      bearer: [session],
      all: [session, ...siblings],
      delete: siblings.slice(0, 1),
      others: siblings,
      password: siblings,
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
    must([0, 204, 401, 503].includes(status), `an ending answered ${status} ${JSON.stringify(body)}`)
    const refused = status === 401 && body.code !== 'invalid_credentials'
    must(!refused || session.mayEnd, `an ending was refused: ${JSON.stringify(body)}`)
    // A bearer that is refused ends nothing, and by token or bearer it is no error.
    const proven = how !== 'bearer' || session.over === undefined
    if (status === 503 && body.code === 'revocation_pending')
      for (const each of concerned) each.pendingEnd = true
    if (status !== 204 || !proven) return
    for (const each of concerned) each.over ??= performance.now()
    await Promise.all(concerned.flatMap((each) => [0, 1].map((node) => untilRefused(each, node))))
  }

  /** An ended session's access token: a node that cannot be asked may have a second to hear of it. */
  async function untilRefused(session: Session, node: number): Promise<void> {
    const isLong = () => performance.now() - (session.over as number) > 1_000
    for (let asked = false; !asked; ) {
      asked = isLong()
      if ((await access(session, node)) === 401) return
      await sleep(20)
    }
  }

  return {
    loseHope,
    refresh,
    async run(session: Session, action: Action): Promise<void> {
      if (action.do === 'refresh') await refresh(session, action.node, action.lost)
      else if (action.do === 'steal') session.loot = Math.max(0, session.held - action.behind)
      else if (action.do === 'use') await use(session, action.node)
      else if (action.do === 'access') await access(session, action.node)
      else if (action.do === 'forge') await forged(session, action.node, action.bit)
      else await end(session, action.node, action.how)
    },
  }
}
