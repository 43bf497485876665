import t from 'tap'
import { randomId } from '../../src/platform/randomness.ts'

t.test('ids hold 16 bytes and never repeat, whenever the pool is filled again', async (t) => {
  const ids = Array.from({ length: 2_000 }, () => randomId())
  t.ok(ids.every((id) => Buffer.from(id, 'base64url').length === 16))
  t.equal(new Set(ids).size, ids.length)
})
