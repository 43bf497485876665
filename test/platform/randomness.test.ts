import t from 'tap'
import { randomId } from '../../src/platform/randomness.ts'

t.test('ids have the requested length and never repeat, whenever the pool is filled again', (t) => {
  const lengths = Array.from({ length: 2_000 }, (_, index) => 16 + (index % 3))
  const ids = lengths.map(randomId)
  t.equal(new Set(ids.map((id) => id.slice(0, 16))).size, ids.length)
  t.same(
    ids.map((id) => Buffer.from(id, 'base64url').length),
    lengths,
  )
  t.end()
})
