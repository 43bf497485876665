import { hash } from 'node:crypto'
import { CLIENT_GRACE_MS, type Cluster, GRACE_MS, type Reply } from './cluster.ts'

/** `client`: of a third party, in two processes of one network that share a token. */
export type Kind = 'keyed' | 'plain' | 'tabs' | 'client'

/** Where a third party is. */
export type Place = 'home' | 'elsewhere'

/** What the test knows about one session, and what it may expect from it. */
export interface Session {
  name: string
  kind: Kind
  id: string
  user: { id: string; email: string; password: string }
  familyHash: string
  /** Every token that any node issued, by generation. */
  tokens: string[]
  bearers: string[]
  /** The generation that the owner holds. */
  held: number
  /** A refresh that the owner has no answer to yet; `key` is '' if it was sent without one. */
  pending: { generation: number; key: string; since: number } | undefined
  /** Grace credits that the owner may have used. */
  creditsUsed: number
  /** Of a client: the generation that each process holds. */
  copies: number[]
  /** Of a client: the session in which it was allowed, with which it ends. */
  parent: Session | undefined
  /** Of a client: a thief has rotated it elsewhere. */
  moved: boolean
  /** The generation that a thief holds. */
  stolen: number | undefined
  /** The owner may find it ended: there was an attempt to end it, or a thief used a token. */
  mayEnd: boolean
  /** A node has answered that the session will be ended. */
  pendingEnd: boolean
  /** When a revocation was acknowledged or seen: from then on no refresh succeeds. */
  over: number | undefined
}

export const familyOf = (token: string) =>
  hash('sha256', Buffer.from(token.slice(4), 'base64url').subarray(1, 17), 'base64url')
export const mayEnd = ({ mayEnd, parent }: Session): boolean => mayEnd || parent?.mayEnd === true
export const generationOf = (token: string) => Buffer.from(token.slice(4), 'base64url').readUInt32BE(17)

/** Makes calls and checks every answer against the invariants. */
export function createChecks(cluster: Cluster, trace: (line: string) => void) {
  function must(holds: boolean, what: string): void {
    if (!holds) throw new Error(what)
  }

  /** Without a key, either store must refuse a superseded token outside the grace window. */
  async function isSpent(session: Session, generation: number): Promise<boolean> {
    const { ledger, redis } = await cluster.stateOf(session.familyHash)
    const graceMs = session.kind === 'client' ? CLIENT_GRACE_MS : GRACE_MS
    const spent = (store: typeof ledger) =>
      store.generation > generation && Math.abs(Date.now() - store.rotatedAt) > graceMs + 3_000
    return spent(ledger) && (!redis || spent(redis))
  }

  /** One refresh, by the owner or a thief; `again` if the key was used before. */
  async function present(
    session: Session,
    node: number,
    generation: number,
    key = '',
    again = false,
    home: Place = 'home',
  ) {
    const wasOver = session.over !== undefined
    const isClient = session.kind === 'client'
    const isServedLate = isClient && (home === 'home' || session.moved)
    const spent = !again && !isServedLate && (await isSpent(session, generation))
    const refresh_token = session.tokens[generation] as string
    const reply: Reply = isClient
      ? await cluster.call(node, 'POST', '/test/clients/refresh', { body: { refresh_token, home } })
      : await cluster.call(node, 'POST', '/auth/refresh', { body: { refresh_token }, key: key || undefined })
    const { status, body } = reply
    const where = isClient ? ` at ${home}` : ''
    trace(
      `${session.name} T(${generation})${key && ` ${key}`}${where} on ${node}: ${status} ${body?.code ?? ''}`,
    )
    must([0, 200, 401, 409, 503].includes(status), `a refresh answered ${status} ${JSON.stringify(body)}`)
    if (status === 200) {
      must(!wasOver, `${session.name} was refreshed after its end`)
      must(!spent, `${session.name}: generation ${generation} was superseded long ago, but was refreshed`)
      const next = body.refresh_token as string
      const to = generationOf(next)
      must(
        to === generation + 1 || (isClient && to > generation && to <= session.tokens.length),
        `${session.name}: generation ${generation} was refreshed to ${to}`,
      )
      must((session.tokens[to] ?? next) === next, `${session.name}: two tokens of generation ${to}`)
      session.tokens[to] = next
      if (isClient) session.moved ||= home === 'elsewhere'
      else session.bearers.push(body.access_token)
    }
    if (status === 401) {
      must(body.code === 'session_ended', `a refresh answered ${JSON.stringify(body)}`)
      must(mayEnd(session), `${session.name}: an honest client was signed out: ${JSON.stringify(body)}`)
      session.over ??= performance.now()
    }
    return reply
  }

  /** Makes one call with an access token and returns its status. */
  async function access(session: Session, node: number): Promise<number> {
    const { over } = session
    if (session.kind === 'client') return 401
    const longOver = over !== undefined && performance.now() - over > 1_000
    const reply = await cluster.call(node, 'GET', '/me', { bearer: session.bearers.at(-1) })
    trace(`${session.name} /me on ${node}: ${reply.status}`)
    must([0, 200, 401, 503].includes(reply.status), `/me answered ${reply.status}`)
    must(!(longOver && reply.status === 200), `${session.name}: an access token outlived its session`)
    must(session.mayEnd || reply.status !== 401, `${session.name}: an honest access token was refused`)
    return reply.status
  }

  /** Presents a token that no node issued, made from one that was issued. */
  async function forged(session: Session, node: number, bit: number): Promise<void> {
    const bytes = Buffer.from((session.tokens[session.held] as string).slice(4), 'base64url')
    const at = Math.floor(bit / 8)
    bytes[at] = (bytes[at] as number) ^ (1 << (bit % 8))
    const body = { refresh_token: `rt1_${bytes.toString('base64url')}` }
    const { status, body: answer } = await cluster.call(node, 'POST', '/auth/refresh', { body })
    trace(`${session.name} forged on ${node}: ${status}`)
    const refused = status === 401 && answer.code === 'refresh_token_invalid'
    must(status === 0 || refused, `a forged token answered ${status} ${JSON.stringify(answer)}`)
  }

  return { must, present, access, forged }
}
