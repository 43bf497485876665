import t from 'tap'
import { createRevokedTokens } from '../../../src/core/sessions/revoked-tokens.ts'

const KEEP_MS = 660_000
const START = Date.UTC(2026, 5, 1)

function setUp() {
  let now = START
  const revoked = createRevokedTokens({ now: () => now }, KEEP_MS)
  return {
    revoked,
    advance(ms: number) {
      now += ms
    },
  }
}

const inSession = (sid: string) => ({ sid, client_id: 'first-party', iat: START / 1000 })
const ofClient = (client_id: string, iat = START / 1000) => ({ client_id, iat })

t.test('the tokens of an ended session are refused, those of other sessions are not', async (t) => {
  const { revoked } = setUp()
  t.equal(revoked.has(inSession('one')), false)
  revoked.addSession('one')
  t.equal(revoked.has(inSession('one')), true)
  t.equal(revoked.has(inSession('two')), false)
})

t.test("a client's own token is refused when it was issued before the revocation", async (t) => {
  const { revoked } = setUp()
  const moment = START / 1000
  t.equal(revoked.has(ofClient('robot')), false, 'a token without a session is not refused for lacking one')
  revoked.addClient('robot', moment)
  t.equal(revoked.has(ofClient('robot', moment - 1)), true)
  t.equal(revoked.has(ofClient('robot', moment)), false, 'a token issued at that moment is not refused')
  t.equal(revoked.has(ofClient('robot', moment + 1)), false)
  t.equal(revoked.has(ofClient('another', moment - 1)), false)
})

t.test('an earlier revocation that arrives late does not undo a later one', async (t) => {
  const { revoked } = setUp()
  const moment = START / 1000
  revoked.addClient('robot', moment)
  revoked.addClient('robot', moment - 100)
  t.equal(revoked.has(ofClient('robot', moment - 1)), true)
  revoked.addClient('robot', moment + 100)
  t.equal(revoked.has(ofClient('robot', moment + 99)), true)
})

t.test('clients and sessions are revoked independently', async (t) => {
  const { revoked } = setUp()
  const moment = START / 1000
  const granted = { sid: 'one', client_id: 'robot', iat: moment - 1 }
  revoked.addClient('robot', moment)
  t.equal(revoked.has(granted), false, 'a person granted this token: it ends with its session')
  revoked.addSession('one')
  t.equal(revoked.has(granted), true)
  t.equal(revoked.has(ofClient('one', moment - 1)), false, 'the id of a session is not the id of a client')
})

t.test('a revocation is kept for as long as a token can outlive it, then removed', async (t) => {
  const { revoked, advance } = setUp()
  const moment = START / 1000
  revoked.addSession('one')
  revoked.addClient('robot', moment)
  advance(KEEP_MS - 1)
  revoked.addSession('two')
  revoked.addClient('another', moment)
  t.equal(revoked.has(inSession('one')), true)
  t.equal(revoked.has(ofClient('robot', moment - 1)), true)
  advance(1)
  revoked.addSession('three')
  revoked.addClient('a third', moment)
  t.equal(revoked.has(inSession('one')), false)
  t.equal(revoked.has(ofClient('robot', moment - 1)), false)
  t.equal(revoked.has(inSession('two')), true, 'a later revocation stays')
  t.equal(revoked.has(ofClient('another', moment - 1)), true)
})

t.test('a client that is revoked again is kept from that moment on', async (t) => {
  const { revoked, advance } = setUp()
  const moment = START / 1000
  revoked.addClient('robot', moment)
  revoked.addClient('another', moment)
  advance(KEEP_MS - 1)
  revoked.addClient('robot', moment + KEEP_MS / 1000)
  advance(1)
  revoked.addClient('a third', moment)
  t.equal(revoked.has(ofClient('another', moment - 1)), false, 'it does not delay the removal of others')
  t.equal(revoked.has(ofClient('robot', moment + 1)), true)
})
