import * as crypto from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createHmac } from '../../../../src/core/sessions/rotation/hmac.ts'

t.test('it is the HMAC-SHA-256 of node:crypto', (t) => {
  const byteArrays = fc.array(fc.uint8Array({ minLength: 21, maxLength: 21 }), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.string(), byteArrays, (key, context, messages) => {
      const hmac = createHmac(key, context, 21)
      // The same function several times: nothing of a message may stay for the next one.
      return messages.every(
        (message) =>
          hmac(message) === crypto.createHmac('sha256', key).update(context).update(message).digest('binary'),
      )
    }),
  )
  t.throws(() => createHmac(Buffer.alloc(65), '', 21), RangeError)
  t.throws(() => createHmac(Buffer.alloc(32), '', 21)(Buffer.alloc(20)), RangeError)
  t.throws(() => createHmac(Buffer.alloc(32), '', 21)(Buffer.alloc(22)), RangeError)
  t.end()
})
