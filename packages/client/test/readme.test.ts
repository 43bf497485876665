import { readFileSync } from 'node:fs'
import t from 'tap'
import { createAuthClient } from '../src/index.ts'

t.test('the README names every call', async (t) => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const client = createAuthClient({ baseUrl: 'https://auth.example.com' })
  const missing = Object.keys(client).filter((name) => !new RegExp(`\\b${name}\\b`).test(text))
  t.strictSame(missing, [])
  client.dispose()
})
