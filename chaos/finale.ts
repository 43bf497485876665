import { randomUUID } from 'node:crypto'
import { passwordWorks } from './asking.ts'
import type { HonestClient } from './honest.ts'
import type { Random } from './random.ts'
import { me, type Simulation } from './simulation.ts'
import type { User } from './users.ts'

const AT_ONCE = 12

/** After all faults were repaired: live sessions must work on every node, ended sessions on none. */
export async function finale(
  simulation: Simulation,
  random: Random,
  honest: readonly HonestClient[],
): Promise<void> {
  await inParallel(honest, (client) => confirmHonest(simulation, client))
  await inParallel(
    simulation.journal.sessions.filter((session) => session.state === 'ended'),
    (session) => confirmEnded(simulation, session),
  )
  await inParallel(simulation.users, (user) => confirmAccount(simulation, random, user))
}

async function confirmHonest(simulation: Simulation, client: HonestClient): Promise<void> {
  for (const node of simulation.cluster.nodes) {
    if (!client.session || !(await client.confirm(node))) return
    simulation.measures.count('honest clients confirmed at the end, once a node')
  }
}

async function confirmEnded(
  simulation: Simulation,
  session: Simulation['journal']['sessions'][number],
): Promise<void> {
  const { journal, measures } = simulation
  for (const node of simulation.cluster.nodes) {
    // `present` itself reports a refresh that works.
    const { status } = await simulation.present(session, node, {
      token: session.refreshToken,
      key: randomUUID(),
    })
    if (status !== 401 && status !== 200) measures.count(`ended sessions answered ${status} at the end`)
    const access = await simulation.request(node, me(session), session)
    if (access.status === 200) {
      journal.violated('access tokens accepted too long', `${node.name}, at the end`, session)
    }
  }
  measures.count('ended sessions confirmed at the end')
}

async function confirmAccount(simulation: Simulation, random: Random, user: User): Promise<void> {
  if (user.fate === 'unknown') return
  const works = await passwordWorks(simulation, random, user, user.password)
  const lost = (detail: string) =>
    simulation.journal.violated('acknowledged writes lost', `at the end ${detail}`)
  if (user.fate === 'known' && works === false) lost('an account cannot sign in')
  if (user.fate === 'deleted' && works) lost('a deleted account can sign in')
  for (const former of user.former) {
    if (await passwordWorks(simulation, random, user, former)) lost('a changed password still works')
  }
  simulation.measures.count('accounts confirmed at the end')
}

async function inParallel<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await task(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
