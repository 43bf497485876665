import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createMetrics } from '../src/platform/metrics.ts'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const DOCS = fileURLToPath(new URL('../docs', import.meta.url))
const operations = readFileSync(join(DOCS, 'operations.md'), 'utf8')
const deployment = readFileSync(join(DOCS, 'deployment.md'), 'utf8')

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !/^(platform\/generated|cli|dev)\//.test(name))
  .map((name) => readFileSync(join(SRC, name), 'utf8'))

// The last argument of a call of the log, and the texts of a failure.
const LOGGED = /\b(?:log|warn)(?:\.\w+|\[level\])?\((?:[^;]*?),\s*(['"`])((?:(?!\1).)+)\1,?\s*\)/gs
const FAILURE = /failure(?: = |: )\{[^}]*?message:\s*(['"`])(.+?)\1(?:[^}]*?recovered:\s*(['"`])(.+?)\3)?/gs

t.test('docs/operations.md lists every line of the log', async (t) => {
  const lines = sources.flatMap((text) => [
    ...[...text.matchAll(LOGGED)].map(([, , line = '']) => line),
    ...[...text.matchAll(FAILURE)].flatMap(([, , line = '', , recovered = '']) => [line, recovered]),
  ])
  const named = lines
    .filter((line) => line.length > 6 && !line.endsWith('.sql'))
    .flatMap((line) =>
      line.includes('${') ? ['postgres', 'redis'].map((it) => line.replace(/\$\{\w+\}/, it)) : [line],
    )
  t.ok(named.length > 40, `${named.length} lines were found`)
  for (const line of named) if (!/\bmails?\b/.test(line)) t.ok(operations.includes(`\`${line}\``), line)
})

t.test('every event that a line of the log has is explained', async (t) => {
  const events = sources.flatMap((text) =>
    [...text.matchAll(/\bevent(?: = |: )'(\w+)'/g)].map(([, event = '']) => event),
  )
  t.ok(events.length > 5)
  for (const event of events)
    t.ok(operations.includes(event) || deployment.includes(event) || event === 'mail_address_reported', event)
})

t.test('docs/operations.md lists every metric', async (t) => {
  const metrics = createMetrics()
  metrics.observePasswordQueue(() => 0)
  metrics.observeOutboxAge(async () => 0)
  const names = [...(await metrics.render()).matchAll(/^# TYPE (ratchet_\w+)/gm)].map(([, name = '']) => name)
  t.ok(names.length > 10)
  for (const name of names) t.ok(operations.includes(`\`${name}\``), name)
})
