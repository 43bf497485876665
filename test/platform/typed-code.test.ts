import fc from 'fast-check'
import t from 'tap'
import { readTypedCode } from '../../src/platform/typed-code.ts'
import { check } from '../support/property.ts'
import { charactersOf, digitsOfScripts, fullWidth, inDigits, SEPARATORS } from '../support/spellings.ts'

t.test('a decimal digit of any script is that digit', async (t) => {
  t.ok(digitsOfScripts.length > 50)
  for (const digits of digitsOfScripts)
    t.equal(readTypedCode(digits.join('')), '0123456789', digits.join(' '))
  const counts = new Map<string, number>()
  const all = charactersOf(/^\p{Nd}$/u)
  for (const digit of all) {
    const read = `${readTypedCode(digit)}`
    counts.set(read, (counts.get(read) ?? 0) + 1)
  }
  t.strictSame([...counts.keys()].sort(), [...'0123456789'])
  for (const [digit, count] of counts) t.equal(count, all.length / 10, digit)
})

t.test('spaces, dashes and characters of no width make no difference, wherever they are', async (t) => {
  t.ok(SEPARATORS.length > 40)
  for (const separator of SEPARATORS) {
    t.equal(readTypedCode([...`${separator}12ab${separator}`].join(separator)), '12ab', escape(separator))
  }
  t.equal(readTypedCode('\t123\r\n456\n'), '123456')
  const separators = fc.array(fc.constantFrom(...SEPARATORS, '\t', '\n'), { maxLength: 3 })
  const code = fc.array(fc.tuple(fc.constantFrom(...'0123456789abcXYZ'), separators, fc.boolean()), {
    maxLength: 16,
  })
  await check(
    t,
    fc.asyncProperty(code, async (typed) => {
      const spelled = typed.map(([character, after, wide]) =>
        [wide ? fullWidth(character) : character, ...after].join(''),
      )
      return readTypedCode(spelled.join('')) === typed.map(([character]) => character).join('')
    }),
    {},
  )
})

t.test('any other character stays, so that the code is a wrong one', async (t) => {
  const others = charactersOf(
    /^[^\p{Nd}\p{Zs}\p{Dash}\p{Default_Ignorable_Code_Point}\p{White_Space}\uff21-\uff3a\uff41-\uff5a]$/u,
  )
  const kept = others.filter((character) => character !== '\u30fc' && character !== '\uff70')
  t.ok(kept.length > 1_000_000)
  // Apart, so that no two halves become a pair.
  for (let start = 0; start < kept.length; start += 40) {
    const text = kept.slice(start, start + 40).join('x')
    if (readTypedCode(text) !== text) t.fail(escape(text))
  }
  for (const other of ['\0', '\u00b2', '\u2460', '\u0301', '.', '+', '_', '/', '\u2028x']) {
    t.not(readTypedCode(`123${other}456`), '123456', escape(other))
  }
})

t.test('a long text is refused before it is read', async (t) => {
  t.equal(readTypedCode('1'.repeat(128))?.length, 128)
  t.equal(readTypedCode('1'.repeat(129)), null)
  t.equal(readTypedCode(' '.repeat(100_000)), null)
  // Mathematical digits are five runs in a row, the longest way back to a zero.
  t.equal(readTypedCode('\u{1d7ff}'.repeat(64)), '9'.repeat(64))
  t.equal(readTypedCode(inDigits([...'٠١٢٣٤٥٦٧٨٩'], '0123456789')), '0123456789')
})
