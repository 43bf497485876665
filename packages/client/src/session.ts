import { ClientError, type EndedReason } from './client-error.ts'
import { exchange, succeed, type TransportName } from './renewal.ts'
import { scheduleRenewal } from './schedule.ts'
import type { Store } from './storage.ts'
import { createTabs } from './tabs.ts'
import { type Clocks, type Held, left, type Session, type TokenResponse, type User } from './tokens.ts'
import type { Call } from './transport.ts'

/** Who is signed in. The same object until something changes. */
export type Snapshot =
  /** Not known yet; `problem` says why, while the client goes on trying. */
  | { status: 'loading'; problem?: ClientError }
  /** `reason` if a session has ended here. */
  | { status: 'signed_out'; reason?: EndedReason }
  | { status: 'signed_in'; user: User; session: Session }

/** What the tabs of one browser tell each other. */
type Message =
  | { about: 'tokens'; accessToken: string; seconds: number; user: User; session: Session }
  | { about: 'user'; user: User }
  | { about: 'end'; reason: EndedReason | undefined }

/** Seconds for which an access token is valid at least when it is used. */
const ENOUGH_SECONDS = 30
/** Longer than a message between two tabs of a busy machine takes. */
const HEARD_MS = 1_000

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
  let held: Held | undefined
  let user: User | undefined
  let session: Session | undefined
  // Rises with every sign-in and sign-out: an answer to an earlier question is not wanted any more.
  let epoch = 0
  // A page may have created the client without ever using it.
  let isUsed = false
  let starting: Promise<void> | undefined
  let renewing: Promise<Held> | undefined
  let onHeard: (() => void) | undefined
  const listeners = new Set<() => void>()
  const tabs = createTabs<Message>(name, receive)
  const schedule = scheduleRenewal({ isDue, renew: async () => void (await (held ? renew() : start())) })

  function show(next: Snapshot): void {
    snapshot = next
    for (const listener of listeners) listener()
  }

  function showUser(): void {
    if (user && session) show({ status: 'signed_in', user, session })
  }

  const secondsLeft = () => (held ? left(held, clocks()) : 0)
  const hold = (accessToken: string, lifetime: number): Held => ({ accessToken, lifetime, at: clocks() })

  function isDue(): boolean {
    return (
      isUsed && snapshot.status !== 'signed_out' && (!held || secondsLeft() < schedule.ahead(held.lifetime))
    )
  }

  function take(answer: TokenResponse): Held {
    held = hold(answer.access_token, answer.expires_in)
    session = answer.session
    user = answer.user ?? user
    schedule.next(held.lifetime)
    return held
  }

  /** Tells the other tabs. */
  function tell(): void {
    if (!held || !user || !session) return
    tabs.send({ about: 'tokens', accessToken: held.accessToken, seconds: secondsLeft(), user, session })
  }

  function forget(reason: EndedReason | undefined): void {
    epoch += 1
    held = user = session = undefined
    schedule.stop()
    show({ status: 'signed_out', ...(reason ? { reason } : {}) })
  }

  function receive(message: Message): void {
    if (message.about === 'end') {
      forget(message.reason)
      return
    }
    if (message.about === 'tokens') {
      held = hold(message.accessToken, message.seconds)
      session = message.session
      schedule.next(held.lifetime)
    }
    user = message.user
    onHeard?.()
    showUser()
  }

  /** Resolves when another tab has told something, or after a while. */
  const heard = () =>
    new Promise<void>((resolve) => {
      onHeard = resolve
      setTimeout(resolve, HEARD_MS)
    })

  /** The session has ended: this page and the other tabs learn why. */
  async function end(reason: EndedReason | undefined): Promise<void> {
    const { device } = await store.read()
    await store.write(device ? { device } : {})
    forget(reason)
    tabs.send({ about: 'end', reason })
  }

  function renew(): Promise<Held> {
    renewing ??= renewOnce().finally(() => {
      renewing = undefined
    })
    return renewing
  }

  async function renewOnce(): Promise<Held> {
    const asked = { epoch, held }
    const isWanted = () => epoch === asked.epoch
    try {
      const renewed = await tabs.alone(async (waited) => {
        // The tab that had its turn before has told the others the result, which may be on its way.
        if (waited && held === asked.held) await heard()
        if (held && held !== asked.held) return held
        const answer = await exchange(call, store, transport, isWanted)
        if (!isWanted()) throw new ClientError('signed_out')
        const taken = take(answer)
        tell()
        return taken
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
        const attempt = kept.attempt ? { attempt: kept.attempt } : {}
        const current = await call<{ user: User } | null>('GET', '/auth/session', attempt)
        if (epoch !== asked || held) return
        if (!current) return forget(undefined)
        user = current.user
      } else if (!kept.token) return forget(undefined)
      const { accessToken } = await renew()
      if (user || epoch !== asked) return
      user = await call<User>('GET', '/me', { bearer: accessToken })
      if (epoch !== asked) return
      tell()
      showUser()
    } catch (error) {
      if (epoch !== asked || snapshot.status !== 'loading') return
      show({ status: 'loading', problem: error as ClientError })
      schedule.again(error)
    }
  }

  function start(): Promise<void> {
    isUsed = true
    starting ??= load().finally(() => {
      if (snapshot.status === 'loading') starting = undefined
    })
    return starting
  }

  async function accessToken(minTtl = ENOUGH_SECONDS): Promise<string> {
    await start()
    if (snapshot.status === 'signed_out') throw new ClientError('signed_out')
    const enough = Math.min(minTtl, (held?.lifetime ?? 0) / 2)
    if (held && secondsLeft() > enough) return held.accessToken
    try {
      return (await renew()).accessToken
    } catch (error) {
      if (held && secondsLeft() > 0) return held.accessToken
      throw error
    }
  }

  return {
    start,
    end,
    snapshot: () => snapshot,
    /** An access token that may be used for `minTtl` seconds, or for as long as the server gives it. */
    accessToken,
    /** Another one, for one that was refused: what another caller has got by now, or a new one. */
    async replaceAccessToken(refused: string): Promise<string> {
      const current = await accessToken()
      return current === refused ? (await renew()).accessToken : current
    },
    /** A sign-in has succeeded. */
    async begin(answer: TokenResponse): Promise<User> {
      epoch += 1
      isUsed = true
      user = undefined
      await store.write(succeed(await store.read(), answer))
      const { accessToken } = take(answer)
      user ??= await call<User>('GET', '/me', { bearer: accessToken })
      starting = Promise.resolve()
      tell()
      showUser()
      return user
    },
    /** The account was changed. */
    update(changed: User): User {
      user = changed
      showUser()
      tabs.send({ about: 'user', user })
      return changed
    },
    /** Waits until no renewal is under way, so that what is ended is the newest token. */
    settled: async () => void (await renewing?.catch(() => {})),
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
