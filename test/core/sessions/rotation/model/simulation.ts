import fc from 'fast-check'
import { type Action, action, createActors } from './actions.ts'
import type { Cluster } from './cluster.ts'
import { createChecks, familyOf, type Kind, mayEnd, type Session } from './session.ts'

const FAULTS = ['cut', 'hang', 'stall', 'dropAnswers', 'reset'] as const

export type Event =
  | { event: 'fault'; node: number; store: 'redis' | 'postgres'; fault: (typeof FAULTS)[number] }
  | { event: 'heal'; node: number }
  | { event: 'kill'; node: number }
  | { event: 'age' | 'flushAll' | 'save' | 'rollBack' | 'restartEmpty' | 'killRedis' }

export interface Round {
  /** Happens during the actions. */
  event: Event | null
  /** All at the same time, each on another session. */
  actions: [session: number, action: Action][]
}

const node = fc.integer({ min: 0, max: 1 })
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      event: fc.constant('fault' as const),
      node,
      store: fc.constantFrom('redis' as const, 'redis' as const, 'postgres' as const),
      fault: fc.constantFrom(...FAULTS),
    }),
  },
  { weight: 3, arbitrary: fc.record({ event: fc.constant('heal' as const), node }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('kill' as const), node }) },
  {
    weight: 8,
    arbitrary: fc.record({
      event: fc.constantFrom<'age' | 'flushAll' | 'save' | 'rollBack' | 'restartEmpty' | 'killRedis'>(
        'age',
        'age',
        'age',
        'flushAll',
        'flushAll',
        'save',
        'rollBack',
        'rollBack',
        'restartEmpty',
        'killRedis',
      ),
    }),
  },
)

const KINDS: readonly Kind[] = ['keyed', 'plain', 'keyed', 'tabs', 'client']

export const round: fc.Arbitrary<Round> = fc.record({
  event: fc.option(event, { freq: 2 }),
  actions: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: KINDS.length - 1 }), action), {
    selector: ([session]) => session,
    minLength: 1,
    maxLength: KINDS.length,
  }),
})

/** Two people with two sessions each, a client that the first allowed in one of these, and everything that can happen to them. */
export async function createSimulation(cluster: Cluster, trace: (line: string) => void) {
  const checks = createChecks(cluster, trace)
  const users = [await cluster.newUser(), await cluster.newUser()] as const
  const sessions: Session[] = []
  for (const [index, kind] of KINDS.entries()) {
    const parent = kind === 'client' ? sessions[0] : undefined
    const user = parent?.user ?? users[index < 2 ? 0 : 1]
    const { email, password } = user
    const [path, body] = parent
      ? ['/test/clients/begin', { parent_id: parent.id }]
      : ['/auth/login', { email, password, transport: 'body' }]
    let { status, body: answer } = await cluster.call(index % 2, 'POST', path, { body })
    // A store that the previous run took down may still be coming back.
    while (status === 503) ({ status, body: answer } = await cluster.call(index % 2, 'POST', path, { body }))
    sessions.push({
      ...{ name: `${kind} ${index}`, kind, user },
      id: answer.session.id,
      familyHash: familyOf(answer.refresh_token),
      tokens: [answer.refresh_token],
      bearers: [answer.access_token],
      ...{ parent, copies: [0, 0], moved: false },
      ...{ held: 0, creditsUsed: 0, mayEnd: false, pendingEnd: false },
      ...{ pending: undefined, stolen: undefined, over: undefined },
    })
  }
  const actors = createActors(cluster, checks, sessions, trace)
  let starting: Promise<void> = Promise.resolve()

  async function trigger(event: Event): Promise<void> {
    trace(JSON.stringify(event))
    const { redis, redisServer, nodes } = cluster
    if (event.event === 'fault') nodes[event.node]?.proxies[event.store][event.fault]()
    else if (event.event === 'heal') await healProxies(event.node)
    else if (event.event === 'kill') await replace(event.node)
    else if (event.event === 'age') await age()
    else if (event.event === 'rollBack') await redisServer.restart('saved')
    else if (event.event === 'restartEmpty') await redisServer.restart('empty')
    else if (event.event === 'killRedis') await redisServer.kill()
    else if (redis.status === 'ready') await (event.event === 'save' ? redis.save() : redis.flushall())
  }

  async function healProxies(node: number): Promise<void> {
    const proxies = cluster.nodes[node]?.proxies
    await Promise.all([proxies?.redis.heal(), proxies?.postgres.heal()])
  }

  /** Kills a node at once and starts a new one as soon as possible. */
  async function replace(node: number): Promise<void> {
    await starting
    await cluster.nodes[node]?.kill()
    await healProxies(node)
    // A fault may interrupt the start: the end of the run then starts it again.
    starting = cluster.nodes[node]?.start().catch(() => {}) ?? starting
  }

  async function age(): Promise<void> {
    for (const session of sessions) actors.expirePending(session, 20_000)
    if (!(await cluster.age(20_000))) trace('not aged: a node could not flush')
  }

  /** Once reconciled, Redis is as new as the ledger about an honest family, or it is not trusted. */
  async function trustsNothingOld(session: Session): Promise<void> {
    const { ledger, redis } = await cluster.stateOf(session.familyHash)
    const behind = redis?.hot && redis.generation < ledger.generation
    checks.must(!behind, `${session.name}: Redis is trusted, but behind the ledger`)
  }

  /** After healing, honest clients continue, ended sessions stay ended, and no outdated store is trusted. */
  async function finish(): Promise<void> {
    await starting
    await cluster.heal()
    trace('healed')
    for (const session of sessions) {
      actors.expirePending(session)
      if (session.pendingEnd || session.over !== undefined) {
        for (const node of [0, 1]) {
          const { status } = await checks.present(session, node, session.held, '', true)
          checks.must(status === 401, `${session.name} has ended, but a refresh answered ${status}`)
        }
      } else if (mayEnd(session)) {
        for (const node of [0, 1]) await checks.present(session, node, session.held, '', true)
      } else {
        await trustsNothingOld(session)
        await actors.refresh(session, 0, 0)
        checks.must(session.pending === undefined, `${session.name} is honest, but cannot continue`)
      }
    }
    for (const session of sessions) for (const node of [0, 1]) await checks.access(session, node)
  }

  return {
    finish,
    async run({ event, actions }: Round): Promise<void> {
      trace('--')
      const alone = event?.event === 'age' || event?.event === 'save'
      if (event && alone) await trigger(event)
      const triggered = event && !alone ? trigger(event) : undefined
      await Promise.all([
        triggered,
        ...actions.map(([index, action]) => actors.run(sessions[index] as Session, action)),
      ])
    },
  }
}
