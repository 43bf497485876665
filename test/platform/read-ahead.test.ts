import t from 'tap'
import { createReadAhead } from '../../src/platform/read-ahead.ts'
import { deferred } from '../support/deferred.ts'

function setup() {
  const state = { now: 0, value: 'a' as string | undefined, reads: 0, wait: Promise.resolve() }
  const read = async () => {
    state.reads += 1
    const { value } = state
    await state.wait
    return value
  }
  const known = createReadAhead<string>({ read, clock: { now: () => state.now }, maxAgeMs: 1_000, size: 2 })
  return { state, known }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

t.test('only the first reading is waited for; a used value is read again before it is too old', async (t) => {
  const { state, known } = setup()
  t.equal(await known.get('k'), 'a')
  state.now = 499
  t.equal(known.get('k'), 'a')
  t.equal(state.reads, 1)
  state.value = 'b'
  state.now = 600
  t.equal(known.get('k'), 'a', 'not waited for')
  await settled()
  t.equal(known.get('k'), 'b')
  t.equal(state.reads, 2)
})

t.test('no value is older than the limit, and parallel callers share a reading', async (t) => {
  const { state, known } = setup()
  const gate = deferred<void>()
  await known.get('k')
  state.now = 1_000
  state.value = 'b'
  state.wait = gate.promise
  const all = Promise.all([known.get('k'), known.get('k')])
  gate.resolve()
  t.strictSame(await all, ['b', 'b'])
  t.equal(state.reads, 2)
  state.now = 0
  state.value = 'c'
  t.equal(await known.get('k'), 'c', 'a clock that was set back')
})

t.test('what is missing or fails is not remembered, and what is forgotten is not brought back', async (t) => {
  const { state, known } = setup()
  state.value = undefined
  t.equal(await known.get('k'), undefined)
  state.value = 'a'
  t.equal(await known.get('k'), 'a')
  state.wait = Promise.reject(new Error('no'))
  state.now = 600
  t.equal(known.get('k'), 'a', 'a failure in the background keeps the value')
  await settled()
  state.now = 1_000
  await t.rejects(Promise.resolve(known.get('k')))

  const gate = deferred<void>()
  state.wait = gate.promise
  const late = known.get('k')
  known.forget('k')
  state.value = 'new'
  gate.resolve()
  t.equal(await late, 'a')
  state.wait = Promise.resolve()
  t.equal(await known.get('k'), 'new')
})
