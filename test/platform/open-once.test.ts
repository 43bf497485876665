import t from 'tap'
import { openOnce } from '../../src/platform/open-once.ts'

t.test('it opens once for all callers, and again after a failure', async (t) => {
  let opened = 0
  let fails = true
  const get = openOnce(async () => {
    opened += 1
    if (fails) throw new Error('not yet')
    return opened
  })
  t.equal(await get.opened(), undefined)
  await t.rejects(Promise.all([get(), get()]), { message: 'not yet' })
  t.equal(opened, 1)
  t.equal(await get.opened(), undefined)
  fails = false
  t.strictSame(await Promise.all([get(), get(), get.opened()]), [2, 2, 2])
})
