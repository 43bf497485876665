import t from 'tap'
import { createNonces } from '../../../src/core/dpop/nonces.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'

const [old, young, foreign] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string]
const memory = '0123456789abcdef'

/** The beginning of a minute. */
const START = 1_800_000_000_000

function at(clock: { now: number }, ...secrets: string[]) {
  return createNonces({ secrets: createSecrets(secrets), clock: { now: () => clock.now } })
}

t.test('a nonce says its window and its memory, for one to two minutes', (t) => {
  const clock = { now: START }
  const nonces = at(clock, old)
  const said = { window: nonces.window(), memory }
  const nonce = nonces.write(said)
  t.match(nonce, /^[\w-]{38}$/)
  t.equal(at(clock, old).write(said), nonce, 'all nodes make the same')
  for (const [now, expected] of [
    [START, said],
    [START + 119_999, said],
    [START + 120_000, null],
    [START - 1, said],
    [START - 60_000, said],
    [START - 60_001, null],
  ] as const) {
    clock.now = now
    t.strictSame(nonces.read(nonce), expected, `${now - START} ms`)
  }
  t.end()
})

t.test('every secret of the deployment verifies, and the newest makes nonces', (t) => {
  const clock = { now: START }
  const [before, during, after, elsewhere] = [
    at(clock, old),
    at(clock, young, old),
    at(clock, young),
    at(clock, foreign),
  ]
  const said = { window: before.window(), memory }
  t.strictSame(during.read(before.write(said)), said)
  t.strictSame(after.read(during.write(said)), said)
  t.equal(after.read(before.write(said)), null)
  t.equal(before.read(elsewhere.write(said)), null)
  t.end()
})

t.test('no change of a nonce is accepted', (t) => {
  const nonces = at({ now: START }, old)
  const bytes = Buffer.from(nonces.write({ window: nonces.window(), memory }), 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const altered = Buffer.from(bytes)
    altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7))
    t.equal(nonces.read(altered.toString('base64url')), null, `bit ${bit}`)
  }
  for (let length = 0; length < bytes.length; length += 1)
    t.equal(nonces.read(bytes.subarray(0, length).toString('base64url')), null, `${length} bytes`)
  t.equal(nonces.read(`${bytes.toString('base64url')}AAAA`), null)
  t.end()
})
