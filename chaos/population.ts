import { createHonest, type Habits, type HonestClient } from './honest.ts'
import { leave } from './leavers.ts'
import { arrive } from './newcomers.ts'
import { createRandom } from './random.ts'
import type { Simulation } from './simulation.ts'
import { steal } from './thieves.ts'
import { beginClient, createThirdParty } from './third-parties.ts'

// Some clients let the grace window pass between two refreshes, some do not.
const plain: Habits = { keyed: true, cookie: false, tabs: 1, loses: 0, idles: 2_500 }
const HABITS: Record<string, Habits> = {
  keyed: plain,
  patient: { ...plain, idles: 8_000 },
  cookie: { ...plain, cookie: true },
  'patient-tabs': { ...plain, tabs: 2, idles: 6_000 },
  tabs: { ...plain, tabs: 2 },
  lossy: { ...plain, loses: 0.3 },
  'lossy-tabs': { ...plain, tabs: 2, loses: 0.2 },
  keyless: { ...plain, keyed: false, loses: 0.05 },
  'keyless-cookie': { ...plain, keyed: false, cookie: true, idles: 6_000 },
}
// Assigned to the accounts in this order, repeatedly.
const ROLES =
  `patient thief tabs third-party third-party-thief leaver lossy keyless thief patient-tabs leaver cookie patient thief
  keyless-cookie leaver lossy-tabs keyed`.split(/\s+/)

export interface Population {
  honest: readonly HonestClient[]
  /** Resolves when every client has finished what it was doing when the run was stopped. */
  done: Promise<unknown>
}

/** Starts one client for each seeded account, and one that creates new accounts. */
export function populate(simulation: Simulation, seed: number): Population {
  const honest: HonestClient[] = []
  const lives = [...simulation.users].map((user, index) => {
    const role = ROLES[index % ROLES.length] as string
    const name = `${role} ${index + 1}`
    const random = createRandom(seed, name)
    if (role === 'thief') return steal(simulation, random, name, user)
    if (role === 'third-party-thief') return steal(simulation, random, name, user, beginClient)
    if (role === 'third-party') {
      const client = createThirdParty(simulation, random, name, user)
      honest.push(client)
      return client.live()
    }
    if (role === 'leaver') return leave(simulation, random, name, user)
    const client = createHonest(simulation, random, name, user, HABITS[role] ?? plain)
    honest.push(client)
    return client.live()
  })
  lives.push(arrive(simulation, createRandom(seed, 'newcomer'), 'newcomer'))
  return { honest, done: Promise.all(lives) }
}
