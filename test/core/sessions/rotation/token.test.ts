import fc from 'fast-check'
import t from 'tap'
import { createRefreshTokenFormat } from '../../../../src/core/sessions/rotation/token.ts'
import { createSecrets } from '../../../../src/platform/secrets.ts'

const OLD = 'the-older-secret-of-at-least-thirty-two-bytes'
const NEW = 'the-newer-secret-of-at-least-thirty-two-bytes'
const format = createRefreshTokenFormat(createSecrets([OLD]))

t.test('a token is a function of family and generation, and parsing returns both', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (generation) => {
      const { family, familyHash } = format.newFamily()
      const text = format.encode(family, generation)
      const parsed = format.parse(text)
      return (
        text === format.encode(family, generation) &&
        parsed?.generation === generation &&
        parsed.familyHash === familyHash &&
        parsed.family.equals(family)
      )
    }),
  )
  t.match(format.encode(format.newFamily().family, 0), /^rt1_[\w-]{71}$/)
  t.end()
})

t.test('the parser refuses any other string', (t) => {
  const { family } = format.newFamily()
  const token = format.encode(family, 7)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: token.length - 1 }), fc.constantFrom(...'ABab09-_'), (at, char) => {
      const other = token.slice(0, at) + char + token.slice(at + 1)
      return other === token || format.parse(other) === null
    }),
    { numRuns: 2_000 },
  )
  fc.assert(fc.property(fc.string(), (text) => format.parse(text) === null))
  fc.assert(fc.property(fc.string(), (text) => format.parse(token + text) === null || text === ''))
  t.pass('all refused')
  t.end()
})

t.test('secrets rotate: new tokens use the newest, old ones still verify, foreign ones never', (t) => {
  const both = createRefreshTokenFormat(createSecrets([NEW, OLD]))
  const { family } = format.newFamily()
  const old = format.encode(family, 1)
  t.equal(both.parse(old)?.generation, 1)
  t.not(both.encode(family, 1), old)
  t.equal(format.parse(both.encode(family, 1)), null)
  t.end()
})
