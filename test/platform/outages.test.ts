import t from 'tap'
import { createOutages, type OutagesOptions } from '../../src/platform/outages.ts'
import { becomes, eventually } from '../support/eventually.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

interface Teardown {
  teardown(end: () => void): void
}
interface Line {
  level: string
  fields: Record<string, unknown>
  message: string
}

const HOUR = 3_600_000

function setUp(t: Teardown, options: Partial<OutagesOptions> = {}) {
  const { log, lines } = recordingMonitor()
  const states: Record<string, boolean> = {}
  const metrics = {
    setStoreAvailable(store: string, isAvailable: boolean) {
      states[store] = isAvailable
    },
  }
  const outages = createOutages({ log, metrics, everyMs: HOUR, settleMs: HOUR, ...options })
  t.teardown(outages.stop)
  return { outages, states, lines: lines as Line[] }
}

const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' })

t.test('an outage is one line at its start and one at its end, with what it cost', (t) => {
  const { outages, states, lines } = setUp(t)
  outages.end('postgres')
  t.strictSame([lines.length, states], [0, { postgres: true }], 'the first answer is no news')
  outages.begin('postgres', refused)
  outages.begin('postgres', new Error('again'))
  for (let request = 0; request < 3; request += 1) outages.countRefused('unavailable', refused)
  t.strictSame(states, { postgres: false })
  outages.end('postgres')
  outages.end('postgres')
  t.match(lines, [
    {
      level: 'error',
      message: 'postgres is unavailable',
      fields: { event: 'store_unavailable', store: 'postgres', reason: 'ECONNREFUSED', advice: /Postgres/ },
    },
    {
      level: 'warn',
      message: 'postgres is available again',
      fields: { event: 'store_available', store: 'postgres', seconds: 0, refused_requests: 3 },
    },
  ])
  t.equal(lines.length, 2)
  t.notMatch(JSON.stringify(lines), '10.0.0.1', 'nothing of what the library said')
  t.strictSame(states, { postgres: true })
  t.end()
})

t.test('while it lasts there are further lines, with the newest reason', async (t) => {
  const { outages, lines } = setUp(t, { everyMs: 5 })
  outages.explain('redis', new Error('Connection is closed.'))
  outages.begin('redis', new Error("Stream isn't writeable"))
  outages.countRefused('revocation_pending', undefined)
  outages.explain('redis', refused)
  await eventually(() => lines.length > 2)
  t.match(lines[0], { fields: { reason: 'connection_closed' } })
  t.match(lines[1], {
    level: 'error',
    message: 'redis is still unavailable',
    fields: { event: 'store_unavailable', reason: 'ECONNREFUSED', refused_requests: 1 },
  })
  outages.end('redis')
  const { length } = lines
  const other = setUp(t, { everyMs: 5 })
  other.outages.begin('redis', refused)
  await eventually(() => other.lines.length > 5)
  t.equal(lines.length, length, 'none follows its end')
})

t.test('what an outage explains is not told of after its end, however short it was', async (t) => {
  const { outages, lines } = setUp(t, { settleMs: 5 })
  const told = () => lines.filter(({ message }) => message === 'requests are refused')
  outages.countRefused('unavailable', refused)
  outages.begin('postgres', refused)
  outages.countRefused('unavailable', refused)
  outages.countRefused('revocation_pending', refused)
  outages.end('postgres')
  // Told of after the same time.
  outages.countRefused('overloaded', undefined)
  await eventually(() => told().some(({ fields }) => fields.code === 'overloaded'))
  t.equal(told().length, 1)
  t.match(lines[1], { fields: { event: 'store_available', refused_requests: 2 } })
})

t.test('requests that no outage explains are told of, again while it goes on, and no longer', async (t) => {
  const { outages, lines } = setUp(t, { everyMs: 5, settleMs: 5 })
  const late = new Error('Query read timeout')
  for (let request = 0; request < 4; request += 1) outages.countRefused('unavailable', late)
  t.equal(lines.length, 0, 'not at once: an outage may explain them')
  await eventually(() => lines.length > 0)
  t.match(lines, [
    {
      level: 'warn',
      message: 'requests are refused',
      fields: {
        event: 'requests_refused',
        code: 'unavailable',
        requests: 4,
        reason: 'timeout',
        advice: /load/,
      },
    },
  ])
  await becomes(
    t,
    () => {
      outages.countRefused('unavailable', late)
      return lines.length > 1
    },
    'it goes on',
  )
  await eventually(() => (lines.at(-1)?.fields.requests as number) > 0)
  outages.begin('postgres', refused)
  outages.countRefused('unavailable', late)
  outages.countRefused('overloaded', undefined)
  await eventually(() => lines.some(({ fields }) => fields.code === 'overloaded'))
  t.equal(lines.filter(({ message }) => message === 'requests are refused').at(-1)?.fields.code, 'overloaded')
})
