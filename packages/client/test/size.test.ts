import { gzipSync } from 'node:zlib'
import t from 'tap'
import { bundle } from './bundle.ts'

const MOST_BYTES = 5_000

t.test('the core is small and has no dependencies', async (t) => {
  const { text, inputs } = await bundle('index.ts')
  const { length } = gzipSync(text, { level: 9 })
  t.comment(`${length} bytes, gzipped`)
  t.ok(length <= MOST_BYTES, `${length} of ${MOST_BYTES} bytes`)
  t.strictSame(
    inputs.filter((input) => !input.startsWith('packages/client/src/')),
    [],
  )
})

t.test('it can be imported where there is no page', async (t) => {
  t.type(globalThis.document, 'undefined')
  const { createAuthClient } = await import('../src/index.ts')
  const client = createAuthClient({ baseUrl: 'https://auth.example.com' })
  t.strictSame(client.getSnapshot(), { status: 'loading' }, 'and does nothing before its first use')
  client.dispose()
})
