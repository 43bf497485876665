import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { EVENT_TYPES, OUTCOMES } from '../../src/core/events/events.ts'
import { createMetrics } from '../../src/platform/metrics.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFile(new URL(path, ROOT), 'utf8')
const ALERTS = 'deploy/prometheus/alerts.yml'
const alerts = await read(ALERTS)
const dashboard = await read('deploy/grafana/dashboard.json')
const operations = await read('docs/operations.md')

const metrics = createMetrics()
metrics.observeOutboxAge(async () => 0)
metrics.observePasswordQueue(() => 0)
const scraped = await metrics.render()
const isServed = (name: string) => new RegExp(`^# TYPE ${name.replace(/_bucket$/, '')} `, 'm').test(scraped)
const labelsOf = (name: string) =>
  new RegExp(`^\\| \`${name}\` \\| (.*?) \\| `, 'm').exec(operations)?.[1]?.match(/`[a-z_]+`/g) ??
  ([] as string[])

/** Each metric of a text with the labels that it is asked for, such as `ratchet_mails_total{result="sent"}`. */
const uses = (text: string) =>
  [...text.matchAll(/\b((?:ratchet|process|nodejs)_[a-z_]+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', given = '']) => ({
      name,
      labels: [...given.matchAll(/([a-z_]+)\s*=~?/g)].flatMap(([, label = '']) => label),
    }),
  )

for (const [file, text] of [
  ['the alerts', alerts],
  ['the dashboard', dashboard.replaceAll('\\"', '"')],
] as const) {
  t.test(`${file} ask only for metrics and labels that a server has`, async (t) => {
    const found = uses(text)
    t.ok(found.length > 15)
    for (const { name, labels } of found) {
      t.ok(isServed(name), name)
      for (const label of labels) {
        if (['job', 'instance', 'le'].includes(label)) continue
        t.ok(labelsOf(name.replace(/_bucket$/, '')).includes(`\`${label}\``), `${name}: ${label}`)
      }
    }
  })
}

t.test(
  'the dashboard shows every metric of its own, and the values that the alerts wait for exist',
  async (t) => {
    const names = [...scraped.matchAll(/^# TYPE (ratchet_\w+) /gm)].map(([, name = '']) => name)
    t.ok(names.length > 10)
    for (const name of names) t.match(dashboard, name)
    const known: readonly string[] = [...EVENT_TYPES, ...OUTCOMES]
    for (const [, label = '', value = ''] of alerts.matchAll(
      /(verdict|result|store|type|outcome)="([a-z_]+)"/g,
    ))
      t.ok(known.includes(value) || operations.includes(`\`${value}\``), `${label}="${value}"`)
  },
)

t.test('every alert has a chapter that says what to do, in the same order', async (t) => {
  const guide = await read('docs/operating/alerts.md')
  const names = [...alerts.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => `${name}`)
  t.ok(names.length > 10)
  t.strictSame(
    [...guide.matchAll(/^## (\w+)$/gm)].map(([, name]) => name),
    names,
  )
  t.strictSame(
    [...alerts.matchAll(/runbook: docs\/operating\/alerts\.md#(\w+)$/gm)].map(([, name]) => name),
    names.map((name) => name.toLowerCase()),
  )
  const tests = await read('deploy/prometheus/alerts.test.yml')
  for (const name of names) t.match(tests, `alertname="${name}"`, `${name} is tested`)
})

const promtool = ['promtool', '/usr/bin/promtool'].find((name) => spawnSync(name, ['--version']).status === 0)
const noPromtool = promtool ? false : 'promtool is not installed: apt-get install prometheus'

t.test('promtool: each alert fires when it should, and only then', { skip: noPromtool }, async (t) => {
  const run = (...args: string[]) =>
    spawnSync(promtool as string, args, { cwd: fileURLToPath(ROOT), encoding: 'utf8' })
  for (const args of [
    ['check', 'rules', ALERTS],
    ['test', 'rules', 'deploy/prometheus/alerts.test.yml'],
  ]) {
    const { status, stdout, stderr } = run(...args)
    t.equal(status, 0, `${stdout}${stderr}`)
  }
})
