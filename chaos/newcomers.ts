import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { insist, signIn } from './asking.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'
import { now } from './timeline.ts'
import { newUser, type User } from './users.ts'

// Failed deliveries of mail are retried at increasing intervals.
const MAIL_MS = 120_000

/** Creates accounts as users do: register, get the mail, verify, sign in. */
export async function arrive(simulation: Simulation, random: Random, name: string): Promise<void> {
  while (!simulation.stopped.aborted) {
    const user = newUser()
    if (await register(simulation, random, user)) {
      const session = await signIn(simulation, random, name, user)
      if (session) session.state = 'lapsed'
    }
    await simulation.pause(random.between(2_000, 8_000))
  }
}

/** Registers and verifies an account, which must work from then on. False when the run ended first. */
export async function register(simulation: Simulation, random: Random, user: User): Promise<boolean> {
  const { email, password } = user
  const body = { email, password, name: 'Ada' }
  const answer = await insist(simulation, random, { method: 'POST', path: '/auth/register', body })
  if (answer?.status !== 202) return false
  const tried = new Set<string>()
  for (const began = now(); now() - began < MAIL_MS; await sleep(250)) {
    for (const token of (await mailedTokens(simulation.cluster.inboxDir, email)).filter(
      (each) => !tried.has(each),
    )) {
      tried.add(token)
      const verify = { method: 'POST', path: '/auth/verify-email', body: { token, password } } as const
      const verified = await insist(simulation, random, verify)
      if (verified?.status !== 200 && !(await worksAnyway(simulation, random, user))) continue
      simulation.users.push(user)
      simulation.measures.count('accounts registered and verified over HTTP')
      return true
    }
    if (simulation.stopped.aborted && tried.size === 0 && now() - began > 5_000) break
  }
  simulation.measures.count('registrations without a working mail')
  return false
}

/** Whether the account works although the verification was refused: an earlier answer may have been lost. */
async function worksAnyway(
  simulation: Simulation,
  random: Random,
  { email, password }: User,
): Promise<boolean> {
  const body = { email, password, transport: 'body' }
  return (await insist(simulation, random, { method: 'POST', path: '/auth/login', body }))?.status === 200
}

async function mailedTokens(inboxDir: string, email: string): Promise<string[]> {
  const files = (await readdir(inboxDir).catch(() => [])).filter((file) => file.endsWith('.json'))
  const mails = await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(join(inboxDir, file), 'utf8').catch(() => '{}'))),
  )
  const own = mails.filter((mail) => mail.to === email).sort((a, b) => (a.at < b.at ? 1 : -1))
  return own.flatMap((mail) => /token=([\w-]+)/.exec(mail.text)?.[1] ?? [])
}
