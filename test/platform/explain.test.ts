import { inspect } from 'node:util'
import t from 'tap'
import { explain } from '../../src/platform/explain.ts'

t.test('an invalid URL is not shown, for it may have a password', async (t) => {
  try {
    new URL('postgres://me:a-canary@host:port')
    t.fail('it is invalid')
  } catch (error) {
    t.match(inspect(error), /a-canary/)
    t.notMatch(inspect(explain(error)), /a-canary/)
  }
})
