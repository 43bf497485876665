import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'

// Not imported: `npm test` compiles no examples.
const SCRIPT = `
  const { startParts } = await import('./examples/parts.ts')
  const { ready, stop } = startParts(['api'])
  if (await ready) stop()
`

t.test('a part whose port is in use ends the demo, and a line says which', async (t) => {
  const other = createServer()
  // If it is in use already, that is as good.
  await new Promise((resolve) => {
    other.once('error', resolve)
    other.listen(8081, 'localhost', () => resolve(undefined))
  })
  t.teardown(() => other.close())
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', SCRIPT],
    { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' },
  )
  t.match(stderr, /^api has ended with 1: is http:\/\/localhost:8081 in use\?/m)
  t.equal(status, 1)
})
