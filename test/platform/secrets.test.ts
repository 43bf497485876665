import t from 'tap'
import { createSecrets } from '../../src/platform/secrets.ts'

const secrets = createSecrets(['a-secret-for-tests-of-at-least-32-bytes'])
const IV_AND_TAG = 12 + 16

t.test('what is sealed opens with its purpose and context, whatever its length', async (t) => {
  for (const text of ['', 'a', 'x'.repeat(5_000)]) {
    const sealed = secrets.seal('ticket', 'one', text)
    t.equal(sealed.length, IV_AND_TAG + text.length)
    t.equal(secrets.open('ticket', 'one', sealed), text)
    t.throws(() => secrets.open('ticket', 'another', sealed), /APP_SECRETS/)
    t.throws(() => secrets.open('outbox', 'one', sealed), /APP_SECRETS/)
  }
})

t.test('a tag that was cut off is refused: a short one could be guessed', async (t) => {
  const sealed = secrets.seal('ticket', 'one', '')
  for (let length = 0; length < sealed.length; length += 1) {
    t.throws(
      () => secrets.open('ticket', 'one', sealed.subarray(0, length)),
      /APP_SECRETS/,
      `${length} bytes`,
    )
  }
})

t.test('every bit counts', async (t) => {
  const sealed = secrets.seal('ticket', 'one', 'text')
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const changed = sealed.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    t.throws(() => secrets.open('ticket', 'one', changed), /APP_SECRETS/, `bit ${bit}`)
  }
})
