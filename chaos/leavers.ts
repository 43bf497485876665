import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { insist, opens, persist, pickNode, signIn } from './asking.ts'
import type { Session } from './book.ts'
import type { Call } from './http.ts'
import { register } from './newcomers.ts'
import { newPerson, type Person } from './people.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

const bearer = (session: Session) => ({ authorization: `Bearer ${session.accessToken}` })

type Ending = (person: Person, own: Session, other: Session) => { call: Call; ends: Session[] }
const ENDINGS: Record<string, Ending> = {
  logout: (_person, own) => ({ call: logout(own), ends: [own] }),
  'logout by access token': (_person, own) => ({
    call: { method: 'POST', path: '/auth/logout', body: {}, headers: bearer(own) },
    ends: [own],
  }),
  'logout-all': (_person, own, other) => ({
    call: { method: 'POST', path: '/auth/logout-all', headers: bearer(own) },
    ends: [own, other],
  }),
  'ending one session': (_person, own, other) => ({
    call: { method: 'DELETE', path: `/auth/sessions/${other.id}`, headers: bearer(own) },
    ends: [other],
  }),
  'ending the other sessions': (_person, own, other) => ({
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

/** Signs in twice, ends sessions in one of the ways there are, and starts again: what was ended stays ended. */
export async function leave(world: World, random: Random, name: string, first: Person): Promise<void> {
  for (let person = first; !world.stopped.aborted; ) {
    const own = await signIn(world, random, name, person)
    const other = await signIn(world, random, name, person)
    if (!own || !other) return
    for (const session of [own, other]) await use(world, random, session)
    await world.pause(random.between(100, 1_500))

    const how = random.pick(Object.keys(ENDINGS))
    const { call, ends } = (ENDINGS[how] as Ending)(person, own, other)
    for (const session of ends) session.state = 'ending'
    // An ending beats the refresh that races with it.
    const racing = random.chance(0.5) ? ends.map((session) => race(world, random, session)) : []
    const answer = await insist(world, random, call, own)
    if (answer?.status === 204) for (const session of ends) world.ended(session, how)
    await Promise.all(racing)
    if (how === 'change of password') await settlePassword(world, random, person, call, answer?.status)
    if (how === 'deletion of the account') await settleDeletion(world, random, person, answer?.status)
    // Asked for again after it had worked unheard, an ending is refused: its own session is no more.
    for (const session of [own, other]) if (session.state !== 'ended') await logOut(world, random, session)
    await world.pause(random.between(200, 1_500))

    if (person.fate !== 'known') {
      person = newPerson()
      if (!(await register(world, random, person))) return
    }
  }
}

/** Two refreshes, each with one key until it works. */
async function use(world: World, random: Random, session: Session): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    const answer = await persist(world, random, session, session.refreshToken)
    if (answer?.status === 200 && answer.next) session.refreshToken = answer.next
    else if (answer?.status === 401) {
      world.book.violated('honest sign-outs', `${answer.code} ${answer.body?.reason ?? ''}`, session)
      session.state = 'lapsed'
      return
    }
  }
}

/** One refresh, whatever comes of it. */
async function race(world: World, random: Random, session: Session): Promise<void> {
  await sleep(random.between(0, 20))
  const presentation = { token: session.refreshToken, key: randomUUID() }
  const { next } = await world.present(session, pickNode(world, random), presentation)
  if (next) session.refreshToken = next
}

async function logOut(world: World, random: Random, session: Session): Promise<void> {
  session.state = 'ending'
  const answer = await insist(world, random, logout(session), session)
  if (answer?.status === 204) world.ended(session, 'logout')
}

async function settlePassword(
  world: World,
  random: Random,
  person: Person,
  { body }: Call,
  status: number | undefined,
): Promise<void> {
  const former = person.password
  const changed = (body as { new_password: string }).new_password
  const [withNew, withFormer] = [
    await opens(world, random, person, changed),
    await opens(world, random, person, former),
  ]
  if (status === 204) {
    person.password = changed
    person.former.push(former)
    if (withNew === false) world.book.violated('acknowledged writes lost', 'a new password does not work')
    if (withFormer) world.book.violated('acknowledged writes lost', 'a changed password still works')
    return
  }
  // What nobody acknowledged may still happen, at any time: nothing can be said of this account any more.
  person.fate = 'unknown'
  if (withNew === false && withFormer === false) {
    world.book.violated('acknowledged writes lost', 'neither the new password nor the former works')
  }
}

async function settleDeletion(
  world: World,
  random: Random,
  person: Person,
  status: number | undefined,
): Promise<void> {
  person.fate = status === 204 ? 'deleted' : 'unknown'
  if (status === 204 && (await opens(world, random, person, person.password))) {
    world.book.violated('acknowledged writes lost', 'a deleted account can sign in')
  }
}
