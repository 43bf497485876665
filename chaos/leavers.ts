import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { insist, passwordWorks, persist, pickNode, signIn } from './asking.ts'
import type { Call } from './http.ts'
import type { Session } from './journal.ts'
import { register } from './newcomers.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'
import { newUser, type User } from './users.ts'

const bearer = (session: Session) => ({ authorization: `Bearer ${session.accessToken}` })

type Revocation = (user: User, own: Session, other: Session) => { call: Call; ends: Session[] }
const REVOCATIONS: Record<string, Revocation> = {
  logout: (_user, own) => ({ call: logout(own), ends: [own] }),
  'logout by access token': (_user, own) => ({
    call: { method: 'POST', path: '/auth/logout', body: {}, headers: bearer(own) },
    ends: [own],
  }),
  'logout-all': (_user, own, other) => ({
    call: { method: 'POST', path: '/auth/logout-all', headers: bearer(own) },
    ends: [own, other],
  }),
  'revocation of one session': (_user, own, other) => ({
    call: { method: 'DELETE', path: `/auth/sessions/${other.id}`, headers: bearer(own) },
    ends: [other],
  }),
  'revocation of the other sessions': (_user, own, other) => ({
    call: { method: 'DELETE', path: '/auth/sessions', headers: bearer(own) },
    ends: [other],
  }),
  'change of password': ({ password }, own, other) => ({
    call: {
      ...{ method: 'POST', path: '/auth/change-password', headers: bearer(own) },
      body: { current_password: password, new_password: `a passphrase ${randomUUID()}` },
    },
    ends: [other],
  }),
  'deletion of the account': ({ password }, own, other) => ({
    call: { method: 'DELETE', path: '/me', headers: bearer(own), body: { password } },
    ends: [own, other],
  }),
}

const logout = ({ refreshToken }: Session): Call => ({
  method: 'POST',
  path: '/auth/logout',
  body: { refresh_token: refreshToken },
})

/** Signs in twice, ends sessions in one of several ways, and starts again. Ended sessions must stay ended. */
export async function leave(
  simulation: Simulation,
  random: Random,
  name: string,
  first: User,
): Promise<void> {
  for (let user = first; !simulation.stopped.aborted; ) {
    const own = await signIn(simulation, random, name, user)
    const other = await signIn(simulation, random, name, user)
    if (!own || !other) return
    for (const session of [own, other]) await use(simulation, random, session)
    await simulation.pause(random.between(100, 1_500))

    const how = random.pick(Object.keys(REVOCATIONS))
    const { call, ends } = (REVOCATIONS[how] as Revocation)(user, own, other)
    for (const session of ends) session.state = 'revoking'
    // The revocation must win against a concurrent refresh.
    const racing = random.chance(0.5) ? ends.map((session) => race(simulation, random, session)) : []
    const answer = await insist(simulation, random, call, own)
    if (answer?.status === 204) for (const session of ends) simulation.ended(session, how)
    await Promise.all(racing)
    if (how === 'change of password') await settlePassword(simulation, random, user, call, answer?.status)
    if (how === 'deletion of the account') await settleDeletion(simulation, random, user, answer?.status)
    // If a revocation succeeded but its answer was lost, the retry is refused: the session has ended.
    for (const session of [own, other])
      if (session.state !== 'ended') await logOut(simulation, random, session)
    await simulation.pause(random.between(200, 1_500))

    if (user.fate !== 'known') {
      user = newUser()
      if (!(await register(simulation, random, user))) return
    }
  }
}

/** Refreshes twice, each time retrying with one key until there is an answer. */
async function use(simulation: Simulation, random: Random, session: Session): Promise<void> {
  for (let count = 0; count < 2; count++) {
    const answer = await persist(simulation, random, session, session.refreshToken)
    if (answer?.status === 200 && answer.next) session.refreshToken = answer.next
    else if (answer?.status === 401) {
      simulation.journal.violated('honest sign-outs', `${answer.code} ${answer.body?.reason ?? ''}`, session)
      session.state = 'lapsed'
      return
    }
  }
}

/** Refreshes once and accepts any result. */
async function race(simulation: Simulation, random: Random, session: Session): Promise<void> {
  await sleep(random.between(0, 20))
  const presentation = { token: session.refreshToken, key: randomUUID() }
  const { next } = await simulation.present(session, pickNode(simulation, random), presentation)
  if (next) session.refreshToken = next
}

async function logOut(simulation: Simulation, random: Random, session: Session): Promise<void> {
  session.state = 'revoking'
  const answer = await insist(simulation, random, logout(session), session)
  if (answer?.status === 204) simulation.ended(session, 'logout')
}

async function settlePassword(
  simulation: Simulation,
  random: Random,
  user: User,
  { body }: Call,
  status: number | undefined,
): Promise<void> {
  const former = user.password
  const changed = (body as { new_password: string }).new_password
  const [withNew, withFormer] = [
    await passwordWorks(simulation, random, user, changed),
    await passwordWorks(simulation, random, user, former),
  ]
  if (status === 204) {
    user.password = changed
    user.former.push(former)
    if (withNew === false)
      simulation.journal.violated('acknowledged writes lost', 'a new password does not work')
    if (withFormer) simulation.journal.violated('acknowledged writes lost', 'a changed password still works')
    return
  }
  // A change that was not acknowledged may still take effect at any time, so the password is unknown from now on.
  user.fate = 'unknown'
  if (withNew === false && withFormer === false) {
    simulation.journal.violated('acknowledged writes lost', 'neither the new password nor the former works')
  }
}

async function settleDeletion(
  simulation: Simulation,
  random: Random,
  user: User,
  status: number | undefined,
): Promise<void> {
  user.fate = status === 204 ? 'deleted' : 'unknown'
  if (status === 204 && (await passwordWorks(simulation, random, user, user.password))) {
    simulation.journal.violated('acknowledged writes lost', 'a deleted account can sign in')
  }
}
