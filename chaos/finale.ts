import { randomUUID } from 'node:crypto'
import { opens } from './asking.ts'
import type { HonestClient } from './honest.ts'
import type { Person } from './people.ts'
import type { Random } from './random.ts'
import { me, type World } from './world.ts'

const AT_ONCE = 12

/** With everything healed: who should be in is, on every node in turn, and who should be out is not, on any. */
export async function finale(world: World, random: Random, honest: readonly HonestClient[]): Promise<void> {
  await inTurns(honest, (client) => confirmHonest(world, client))
  await inTurns(
    world.book.sessions.filter((session) => session.state === 'ended'),
    (session) => confirmEnded(world, session),
  )
  await inTurns(world.people, (person) => confirmAccount(world, random, person))
}

async function confirmHonest(world: World, client: HonestClient): Promise<void> {
  for (const node of world.cluster.nodes) {
    if (!client.session || !(await client.confirm(node))) return
    world.measures.count('honest clients confirmed at the end, once a node')
  }
}

async function confirmEnded(world: World, session: World['book']['sessions'][number]): Promise<void> {
  const { book, measures } = world
  for (const node of world.cluster.nodes) {
    // `present` itself reports a refresh that works.
    const { status } = await world.present(session, node, { token: session.refreshToken, key: randomUUID() })
    if (status !== 401 && status !== 200) measures.count(`ended sessions answered ${status} at the end`)
    const access = await world.request(node, me(session), session)
    if (access.status === 200) {
      book.violated('access tokens accepted too long', `${node.name}, at the end`, session)
    }
  }
  measures.count('ended sessions confirmed at the end')
}

async function confirmAccount(world: World, random: Random, person: Person): Promise<void> {
  if (person.fate === 'unknown') return
  const works = await opens(world, random, person, person.password)
  const lost = (detail: string) => world.book.violated('acknowledged writes lost', `at the end ${detail}`)
  if (person.fate === 'known' && works === false) lost('an account cannot sign in')
  if (person.fate === 'deleted' && works) lost('a deleted account can sign in')
  for (const former of person.former) {
    if (await opens(world, random, person, former)) lost('a changed password still works')
  }
  world.measures.count('accounts confirmed at the end')
}

async function inTurns<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await task(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
