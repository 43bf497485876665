import { eventually } from '../test/support/eventually.ts'
import { addressesOf, type Credentials } from './account.ts'
import { post } from './connection.ts'
import { type Client, pace, repeat } from './load.ts'

/** The addresses from which the flood comes, each with one request at a time. */
export const FLOOD_ADDRESSES = 200

/** Honest sign-ins during one round. */
export interface Honest {
  /** In milliseconds, of those that succeeded. */
  latencies: number[]
  refused: number
}

/** One round: the same honest sign-ins without and with a flood. */
export interface FloodRound {
  quiet: Record<Caller, Honest>
  flood: Record<Caller, Honest>
  /** How the flood was answered meanwhile: a count for each status. */
  answers: Record<number, number>
  /** How long that took. */
  seconds: number
}

/** How many sign in per second: `strangers` each from an address of their own, `neighbours` from a shared one. */
export const CALLERS = { strangers: 5, neighbours: 1 } as const
export type Caller = keyof typeof CALLERS

const OVERLOADED = 503
const PATIENCE_MS = 120_000

/** The accounts that the flood guesses at. One alone would be locked after a hundred guesses. */
export const TARGETS = addressesOf('target', 400)

/** Creates a function that plays one round. */
export function createFlood(url: string, account: Credentials, seconds: number) {
  const { emails, password } = account
  let people = 0
  let signIns = 0
  let guesses = 0

  const addressOf: Record<Caller, () => string> = {
    strangers: () => `10.${(people >> 16) & 255}.${(people >> 8) & 255}.${people++ & 255}`,
    neighbours: () => '203.0.113.1',
  }
  async function signIn(caller: Caller): Promise<Honest> {
    let refused = 0
    const client: Client = {
      accepts: [200, OVERLOADED],
      // Of many accounts, so that none has too many sessions.
      next: () => {
        const email = emails[signIns++ % emails.length]
        return post('/auth/login', { email, password, transport: 'body' }, addressOf[caller]())
      },
      onAnswer: ({ status }) => {
        refused += status === OVERLOADED ? 1 : 0
      },
    }
    return { latencies: await pace(url, () => client, CALLERS[caller], seconds), refused }
  }
  async function signInAll(): Promise<Record<Caller, Honest>> {
    const [strangers, neighbours] = await Promise.all([signIn('strangers'), signIn('neighbours')])
    return { strangers, neighbours }
  }

  return async (): Promise<FloodRound> => {
    const quiet = await signInAll()
    let answers: Record<number, number> = {}
    const served = new Set<number>()
    let goesOn = true
    const attackers = Array.from({ length: FLOOD_ADDRESSES }, (_, index): Client => {
      const ip = `198.18.${index >> 8}.${index & 255}`
      return {
        // 429: an account that was guessed at too often is locked, which costs no hash.
        accepts: [401, 429, OVERLOADED],
        next() {
          guesses += 1
          const known = TARGETS[guesses % TARGETS.length]
          const email = index % 2 ? known : `nobody-${guesses}@example.com`
          return post('/auth/login', { email, password: 'not the password', transport: 'body' }, ip)
        },
        onAnswer({ status }) {
          if (goesOn) answers[status] = (answers[status] ?? 0) + 1
          if (status === 401) served.add(index)
        },
      }
    })
    async function measure(): Promise<FloodRound> {
      // Before its first answer an attacker is as new to the server as an honest address.
      await eventually(() => served.size === FLOOD_ADDRESSES, PATIENCE_MS)
      answers = {}
      const began = performance.now()
      const flood = await signInAll()
      return { quiet, flood, answers, seconds: (performance.now() - began) / 1000 }
    }
    const measured = measure().finally(() => {
      goesOn = false
    })
    const [round] = await Promise.all([measured, repeat(url, attackers, () => goesOn)])
    return round
  }
}
