import { ClientError, type EndedReason } from './client-error.ts'
import { createQueue } from './queue.ts'
import { exchange, succeed, type TransportName } from './renewal.ts'
import { scheduleRenewal } from './schedule.ts'
import type { Snapshot } from './snapshot.ts'
import type { Store } from './storage.ts'
import { createTabs, type Message } from './tabs.ts'
import { type Clocks, type Held, left, OWN, type Session, type TokenResponse, type User } from './tokens.ts'
import type { Call } from './transport.ts'

/** Seconds for which an access token is valid at least when it is used. */
const ENOUGH_SECONDS = 30

export interface SessionDeps {
  call: Call
  store: Store
  transport: TransportName
  /** The same in every tab of one app and server. */
  name: string
  clocks: Clocks
}

/** The session of this browser or device: at most one renewal at a time, shared by every caller and every tab. */
export function createSession({ call, store, transport, name, clocks }: SessionDeps) {
  let snapshot: Snapshot = { status: 'loading' }
  // By the API that they are for: the token for this server has no resource.
  const tokens = new Map<string, Held>()
  let user: User | undefined
  let session: Session | undefined
  // Rises with every sign-in and sign-out: an answer to an earlier question is not wanted any more.
  let epoch = 0
  // A page may have created the client without ever using it.
  let isUsed = false
  let starting: Promise<void> | undefined
  // Each renewal uses the refresh token up.
  const renewals = createQueue<Held>()
  const listeners = new Set<() => void>()
  const tabs = createTabs(name, receive)
  const schedule = scheduleRenewal({
    isDue,
    async renew() {
      await start()
      if (starting && isDue()) await renew(OWN)
    },
    restored: invalidate,
  })

  function show(next: Snapshot): void {
    snapshot = next
    for (const listener of listeners) listener()
  }

  function showUser(): void {
    if (user && session) show({ status: 'signed_in', user, session })
  }

  const secondsLeft = (held: Held) => left(held, clocks())

  function isDue(): boolean {
    if (!starting) return isUsed
    const held = tokens.get(OWN)
    return snapshot.status !== 'signed_out' && (!held || secondsLeft(held) < schedule.ahead(held.lifetime))
  }

  /** Who is signed in may have changed, and has to be asked again. */
  function invalidate(): void {
    tokens.clear()
    starting = undefined
    schedule.again()
  }

  function keep(resource: string, accessToken: string, lifetime: number, at = clocks()): Held {
    const held: Held = { accessToken, lifetime, at }
    tokens.set(resource, held)
    if (resource === OWN) schedule.next(lifetime)
    return held
  }

  /** Another session may be another user's: what belongs to the one before is of no use any more. */
  function enter(next: Session): void {
    if (session && session.id !== next.id) {
      invalidate()
      user = undefined
    }
    session = next
  }

  /** Takes over an answer, and tells the other tabs. The token for this server is kept only with its user. */
  async function take(resource: string, answer: TokenResponse): Promise<Held> {
    const asked = epoch
    const at = clocks()
    enter(answer.session)
    user = answer.user ?? user
    if (!user && resource === OWN) {
      const found = await call<User>('GET', '/me', { bearer: answer.access_token })
      if (epoch !== asked) throw new ClientError('signed_out')
      user = found
    }
    const held = keep(resource, answer.access_token, answer.expires_in, at)
    tell(resource)
    return held
  }

  /** Tells the other tabs. */
  function tell(resource: string): void {
    const held = tokens.get(resource)
    if (!held || !user || !session) return
    tabs.send({
      about: 'tokens',
      resource,
      accessToken: held.accessToken,
      seconds: secondsLeft(held),
      user,
      session,
    })
  }

  function forget(reason: EndedReason | undefined): void {
    epoch += 1
    tokens.clear()
    user = session = undefined
    schedule.stop()
    show({ status: 'signed_out', ...(reason ? { reason } : {}) })
  }

  function receive(message: Message): void {
    if (message.about === 'end') {
      forget(message.reason)
      return
    }
    if (message.about === 'tokens') {
      enter(message.session)
      keep(message.resource, message.accessToken, message.seconds)
    }
    user = message.user
    showUser()
  }

  /** The session has ended: this page and the other tabs learn why. */
  async function end(reason: EndedReason | undefined): Promise<void> {
    const { device } = await store.read()
    await store.write(device ? { device } : {})
    forget(reason)
    tabs.send({ about: 'end', reason })
  }

  function renew(resource: string): Promise<Held> {
    const asked = { epoch, held: tokens.get(resource) }
    return renewals.run(resource, () => renewOnce(resource, asked))
  }

  async function renewOnce(
    resource: string,
    asked: { epoch: number; held?: Held | undefined },
  ): Promise<Held> {
    const isWanted = () => epoch === asked.epoch
    try {
      const renewed = await tabs.alone(async (waited) => {
        // The tab that had its turn before has told the others the result, which may be on its way.
        if (waited && tokens.get(resource) === asked.held) await tabs.heard()
        const held = tokens.get(resource)
        if (held && held !== asked.held) return held
        if (!isWanted()) throw new ClientError('signed_out')
        const answer = await exchange(call, store, transport, isWanted, resource)
        if (!isWanted()) throw new ClientError('signed_out')
        return take(resource, answer)
      })
      // Not in there: a listener may ask for a token.
      showUser()
      return renewed
    } catch (error) {
      if (isWanted() && error instanceof ClientError && error.endsSession) await end(error.problem?.reason)
      throw error
    }
  }

  async function load(): Promise<void> {
    const asked = epoch
    const kept = await store.read()
    try {
      if (transport === 'cookie') {
        const { attempt } = kept
        const current = await call<{ user: User } | null>('GET', '/auth/session', { attempt })
        if (epoch !== asked || tokens.has(OWN)) return
        if (!current) return forget(undefined)
        user = current.user
      } else if (!kept.token) return forget(undefined)
      await renew(OWN)
    } catch (error) {
      if (epoch !== asked) return
      starting = undefined
      if (snapshot.status === 'loading') show({ status: 'loading', problem: error as ClientError })
      schedule.again(error)
    }
  }

  function start(): Promise<void> {
    isUsed = true
    starting ??= load()
    return starting
  }

  async function accessToken(minTtl = ENOUGH_SECONDS, resource = OWN): Promise<string> {
    await start()
    if (snapshot.status === 'signed_out') throw new ClientError('signed_out')
    const held = tokens.get(resource)
    const enough = Math.min(minTtl, (held?.lifetime ?? 0) / 2)
    if (held && secondsLeft(held) > enough) return held.accessToken
    try {
      return (await renew(resource)).accessToken
    } catch (error) {
      const kept = tokens.get(resource)
      if (kept && secondsLeft(kept) > 0) return kept.accessToken
      throw error
    }
  }

  return {
    start,
    end,
    snapshot: () => snapshot,
    /** An access token that may be used for `minTtl` seconds, or for as long as the server gives it; for an API. */
    accessToken,
    /** Another one, for one that was refused: what another caller has got by now, or a new one. */
    async replaceAccessToken(refused: string, resource = OWN): Promise<string> {
      const current = await accessToken(ENOUGH_SECONDS, resource)
      return current === refused ? (await renew(resource)).accessToken : current
    },
    /** A sign-in has succeeded. */
    async begin(answer: TokenResponse): Promise<User> {
      epoch += 1
      isUsed = true
      user = undefined
      await store.write(succeed(await store.read(), answer))
      await take(OWN, answer)
      starting = Promise.resolve()
      showUser()
      // `take` has set it.
      return user as unknown as User
    },
    /** The account was changed. */
    update(changed: User): User {
      user = changed
      showUser()
      tabs.send({ about: 'user', user })
      return changed
    },
    /** Waits until no renewal is under way, so that what is ended is the newest token. */
    settled: renewals.settled,
    subscribe(listener: () => void): () => void {
      listeners.add(listener)
      void start()
      return () => void listeners.delete(listener)
    },
    /** The app or the page is in use again, or the network is back. */
    resume: () => schedule.check(),
    dispose(): void {
      epoch += 1
      schedule.stop()
      schedule.close()
      listeners.clear()
      tabs.close()
    },
  }
}

export type SessionState = ReturnType<typeof createSession>
