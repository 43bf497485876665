import fc from 'fast-check'
import t from 'tap'
import { isName, spellName } from '../../src/platform/name.ts'
import { check } from '../support/property.ts'
import { anyCharacter, charactersOf } from '../support/spellings.ts'

const REAL = [
  'Ada',
  'Ada Lovelace, Countess of Lovelace',
  "Miles O'Brien",
  'Zoë',
  'Nguyễn Thị Minh Khai',
  'Þórunn Æsa',
  'X Æ A-12',
  '李 小龍',
  '山田　太郎',
  'ひらがな・カタカナ',
  '김철수',
  'محمد بن سلمان',
  'שָׁלוֹם',
  'علی‌رضا',
  'श्रीमान् क्ष्मा',
  'க்‌ஷ',
  'രാജന്‍',
  'ශ්‍රී',
  'ཧྐྵྨླྺྼྻྂ',
  'ကျွန်ုပ်',
  'ᠮᠣᠩᠭᠣᠯ',
  '👩‍👩‍👧‍👦',
  '🏴󠁧󠁢󠁥󠁮󠁧󠁿 England',
  '🏳️‍🌈 ❤️',
  '-',
  '𝔄𝔡𝔞',
  'a',
]

t.test('names of people and things are kept as they are', async (t) => {
  for (const name of REAL) {
    t.equal(isName(name), true, name)
    t.equal(spellName(name), name.normalize('NFC'), name)
  }
})

t.test('a name is stored in NFC and trimmed, without what shows and means nothing', async (t) => {
  for (const [typed, name] of [
    ['e\u0301te\u0301', '\u00e9t\u00e9'],
    ['\u212bngstro\u0308m', '\u00c5ngstr\u00f6m'],
    ['  Ada \u3000\u00a0', 'Ada'],
    ['\ufeff\u200bAda\u200b', 'Ada'],
    ['\u200d\u3164 \u2800Ada \u200d\u200c', 'Ada'],
    ['Ada\u200d', 'Ada'],
    ['A\u00add\u2060a', 'Ada'],
    ['e\u00ad\u0301', '\u00e9'],
    ['രാജന്‍ ', 'രാജന്‍'],
  ] as const) {
    t.equal(spellName(typed), name, escape(typed))
    t.equal(isName(typed), true, escape(typed))
  }
})

t.test('a name needs a visible character', async (t) => {
  const blanks = charactersOf(/^[\p{Z}\p{M}\p{Default_Ignorable_Code_Point}]$/u)
  for (const blank of [
    ...blanks,
    '\u2800',
    '\u{1d159}',
    '',
    ' \u0301\u200b',
    '\u3164\u115f',
    '\u2800 \u200d',
  ]) {
    if (isName(blank)) t.fail(escape(blank))
  }
  t.ok(blanks.length > 2_000)
})

t.test('no character controls the text around a name, breaks its line or cannot be shown', async (t) => {
  const forbidden = charactersOf(/^[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Co}]$/u)
  for (const character of [
    ...forbidden,
    ...'\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c',
    '\ufdd0',
    '\uffff',
    '\u0378',
    '\u{10ffff}',
  ]) {
    for (const name of [character, `${character}Ada`, `A${character}da`, `Ada${character}`]) {
      if (isName(name)) t.fail(escape(name))
    }
  }
  t.ok(forbidden.length > 100_000)
})

t.test('combining marks are bounded, and so is what is hidden between them', async (t) => {
  t.equal(isName(`e${'\u0300\u0316'.repeat(4)}`), true)
  for (const marks of [
    '\u0300'.repeat(10),
    '\u0300\u034f'.repeat(5),
    '\u0300\u200d'.repeat(5),
    '\u0489'.repeat(9),
  ]) {
    t.equal(isName(`x${marks}`), false, escape(marks))
    t.equal(isName(`Ada x${marks}y Ada`), false, escape(marks))
  }
  t.equal(isName('\u{e0041}'.repeat(50)), false)
  t.equal(spellName(`Ada${'\u{e0041}'.repeat(50)}`), 'Ada', 'without a hidden text')
  t.equal(spellName('a\u180eb\ufff9c\u{1d173}d\u{e0001}e'), 'abcde')
  const wales = '\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}'
  t.equal(spellName(`${wales} Ada`), `${wales} Ada`)
})

t.test('the length is counted in characters, after NFC', async (t) => {
  t.equal(isName('x'.repeat(100)), true)
  t.equal(isName('x'.repeat(101)), false)
  t.equal(isName('🦜'.repeat(100)), true)
  t.equal(isName('🦜'.repeat(101)), false)
  t.equal(isName('\u03b1\u0313\u0300\u0345'.repeat(100)), true)
  t.equal(isName('\u03b1\u0313\u0300\u0345'.repeat(101)), false)
  t.equal(isName('\u0958'.repeat(51)), false, 'each is two characters in NFC')
  t.equal(isName(` ${'x'.repeat(100)} `), true)
  t.equal(isName(' '.repeat(1_000_000)), false)
})

t.test(
  'whatever is typed, the stored name has all of this, and spelling it again changes nothing',
  async (t) => {
    const odd = fc.constantFrom(
      ...REAL,
      ...' \u0301\u200b\u200d\u3164\u2800\u202e\ufe0f\u00ad\u094d',
      '\ud800',
    )
    const typed = fc.array(fc.oneof(odd, anyCharacter), { maxLength: 8 })
    await check(
      t,
      fc.asyncProperty(typed, async (parts) => {
        const name = spellName(parts.join(''))
        if (spellName(name) !== name || spellName(name.normalize('NFD')) !== name) return false
        if (isName(parts.join('')) && !isName(name)) return false
        if (!isName(parts.join(''))) return true
        return (
          name === name.normalize('NFC') &&
          name === name.trim() &&
          !/[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Bidi_Control}\u2028\u2029]/u.test(name) &&
          [...name].length <= 100
        )
      }),
      { numRuns: 300 },
    )
  },
)
