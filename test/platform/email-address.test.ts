import fc from 'fast-check'
import t from 'tap'
import { canonicalAddress, partialSpellings, shownAddress } from '../../src/platform/email-address.ts'
import { addresses, respellingOf } from '../support/addresses.ts'
import { check } from '../support/property.ts'

const spelled = fc.oneof(
  addresses,
  addresses.chain(respellingOf),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })).map((parts) => parts.join('@')),
  fc.emailAddress(),
)
const RUNS = { numRuns: 1_000 }

t.test('every respelling of an address has the same canonical form', async (t) => {
  const pairs = addresses.chain((address) => fc.tuple(fc.constant(address), respellingOf(address)))
  await check(
    t,
    fc.asyncProperty(pairs, async ([address, respelling]) => {
      const canonical = canonicalAddress(address)
      return canonical !== null && canonicalAddress(respelling) === canonical
    }),
    RUNS,
  )
})

t.test('a canonical address is its own canonical form, and has it again after it was shown', async (t) => {
  await check(
    t,
    fc.asyncProperty(spelled, async (text) => {
      const canonical = canonicalAddress(text)
      if (canonical === null) return shownAddress(text).length > 0 || text === ''
      return (
        canonicalAddress(canonical) === canonical &&
        canonicalAddress(shownAddress(canonical)) === canonical &&
        shownAddress(shownAddress(canonical)) === shownAddress(canonical)
      )
    }),
    RUNS,
  )
})

t.test('so it is for every character of the first two planes', async (t) => {
  const wrong: string[] = []
  // The planes beyond hold ideographs and, in the last ones, nothing that is printed.
  for (let point = 0; point < 0x20000; point += 1) {
    const character = String.fromCodePoint(point)
    for (const text of [
      `a${character}b@c.example`,
      ...(point < 0x3200 ? [`a@b${character}c.example`] : []),
    ]) {
      const canonical = canonicalAddress(text)
      if (canonical !== null && canonicalAddress(canonical) !== canonical) wrong.push(text)
      if (canonical !== null && canonicalAddress(shownAddress(canonical)) !== canonical) wrong.push(text)
    }
  }
  t.strictSame(wrong, [])
})

t.test('an ASCII domain gets the same form as by UTS 46, whose tables it does not need', async (t) => {
  const label = fc.string({ unit: fc.constantFrom(...'abcXYZ019-'), minLength: 1, maxLength: 65 })
  await check(
    t,
    fc.asyncProperty(fc.array(label, { maxLength: 5 }), async (labels) => {
      const ascii = canonicalAddress(`a@${['b', ...labels, 'example'].join('.')}`)
      const mapped = canonicalAddress(`a@${['ü', ...labels, 'example'].join('.')}`)
      return ascii?.slice(3) === mapped?.slice('a@xn--tda'.length)
    }),
    RUNS,
  )
})

t.test('an address has the same canonical form, however its domain is written', async (t) => {
  for (const [canonical, shown, ...others] of [
    [
      'ann@xn--bcher-kva.example',
      'ann@bücher.example',
      'ANN@BÜCHER.EXAMPLE',
      'ann@bu\u0308cher.example',
      'ann@XN--Bcher-KVA.example',
      'ann@ｂüｃｈｅｒ。ｅｘａｍｐｌｅ',
      'ann@ｘｎ－－bcher-kva．example',
      'ａｎｎ＠bücher｡example',
      'ann@bü\u00adcher.example',
      'ann@𝐛ücher.example',
      '\u3000ann@bücher.example\r\n',
    ],
    ['ann.lee@example.com', 'ann.lee@example.com', 'Ann.Lee@EXAMPLE.com', 'ann。lee@ⓔxample.com'],
    ['a@xn--strae-oqa.example', 'a@straße.example', 'a@STRAẞE.example', 'a@xn--STRAE-OQA.example'],
    ['a@xn--nxasmq6b.example', 'a@βόλοσ.example', 'a@ΒΌΛΟΣ.example'],
    ['a@xn--4dbrk0ce.example', 'a@ישראל.example'],
    ['a@xn--mgba3gch31f060k.example', 'a@نامه\u200cای.example'],
    ['a@b.xn--p1ai', 'a@b.рф', 'A@B.РФ'],
    ['ガ@example.com', 'ガ@example.com', 'ｶﾞ@example.com', 'カ\u3099@example.com'],
    ['déja@example.com', 'déja@example.com', 'DE\u0301JA@example.com'],
    ['คำ@example.com', 'คำ@example.com'],
    ['μάριος.παπάς@example.com', 'μάριος.παπάς@example.com', 'ΜΆΡΙΟΣ.ΠΑΠΆΣ@example.com'],
  ] as const) {
    t.equal(shownAddress(canonical), shown)
    for (const spelling of [canonical, shown, ...others]) {
      t.equal(canonicalAddress(spelling), canonical, JSON.stringify(spelling))
    }
  }
})

t.test('what another server takes for another mailbox is another address', async (t) => {
  for (const [one, other] of [
    ['ı@example.com', 'i@example.com'],
    ['İ@example.com', 'i@example.com'],
    ['straße@example.com', 'strasse@example.com'],
    ['a@straße.example', 'a@strasse.example'],
    ['a@βόλος.example', 'a@βόλοσ.example'],
    ['\u0430nn@example.com', 'ann@example.com'],
    ['ann+1@example.com', 'ann@example.com'],
    ['a.nn@gmail.com', 'ann@gmail.com'],
  ] as const) {
    t.not(canonicalAddress(one), canonicalAddress(other), `${one} ${other}`)
    t.ok(canonicalAddress(one), one)
  }
})

t.test('labels, atoms and lengths are those of the standards', async (t) => {
  /** An address of so many octets. */
  const long = (length: number) =>
    `${'a@'.padEnd(length - 2, 'b.').slice(0, length - 2)}.c`.replace('..c', 'b.c')
  const accepted = [
    ...['a@localhost', 'a@163.com', 'a@1--2.example', 'a@b.c1', "o'brien!#$%&*+-/=?^_`{|}~@b.example"],
    ...['-a-@b.example', '1@b.example', '🦜@b.example', `${'x'.repeat(64)}@b.example`],
    ...[`${'é'.repeat(32)}@b.example`, `a@${'b'.repeat(63)}.example`, `a@b.${'c'.repeat(63)}`],
    ...[long(254), `a@${'ü'.repeat(57)}.example`],
  ]
  for (const text of accepted) t.ok(canonicalAddress(text), text)
  const refused = [
    ...[
      '',
      '@',
      'a',
      'a@',
      '@b.example',
      'a@b@c.example',
      'a＠b@c.example',
      'a b@c.example',
      'a@b c.example',
    ],
    ...[
      'a@b.',
      'a@b.example.',
      'a@b.example。',
      'a@.b',
      'a@b..c',
      'a@b。.c',
      '.a@b.c',
      'a.@b.c',
      'a..b@b.c',
      'a。.b@b.c',
    ],
    ...['a@-b.example', 'a@b-.example', 'a@b.-c', 'a@b.c-', 'a@－b.example', 'a@-ü.example', 'a@ü-.example'],
    ...[
      'a@xn---tda.example',
      'a@üb--c.example',
      'a@b_c.example',
      'a@_b.example',
      'a@b＿c.example',
      'a@*.example',
    ],
    ...['a@127.0.0.1', 'a@1', 'a@0x7f.1', 'a@b.1c', 'a@[127.0.0.1]', 'a@[IPv6:::1]', 'a@::1', 'a@⒈com'],
    ...[
      '"a"@b.example',
      '"a b"@b.example',
      'a(c)@b.example',
      '<a@b.example>',
      'Ann <a@b.example>',
      'a\\@b.example',
    ],
    ...['a,c@b.example', 'a;c@b.example', 'a:c@b.example', 'a\u037ec@b.example', 'mailto:a@b.example'],
    ...[
      'a@xn--.example',
      'a@xn--b.example',
      'a@xn--example-.com',
      'a@xn--bücher.example',
      'a@xn--a\u0000.example',
    ],
    ...[
      'a@1ישראל.example',
      'a@b\u200cc.example',
      'a@\u0301b.example',
      'a@b／c.example',
      'a@b%2ec',
      'a@b\u0000.example',
    ],
    ...[
      'ﬁ@b.example',
      'ⓐ@b.example',
      '𝐚@b.example',
      'a²@b.example',
      '´@b.example',
      'ſ@b.example',
      '½@b.example',
    ],
    ...[
      'a\u200b@b.example',
      'a\u00ad@b.example',
      'a\ufe0f@b.example',
      'a\u034f@b.example',
      'a\u3164@b.example',
    ],
    ...[
      'a\u202e@b.example',
      'a\u00a0b@b.example',
      'a\u0000@b.example',
      'a\r\nb@b.example',
      '\ud800@b.example',
    ],
    ...[
      '\u0378@b.example',
      `${'x'.repeat(65)}@b.example`,
      `${'é'.repeat(33)}@b.example`,
      `a@${'b'.repeat(64)}.example`,
    ],
    ...[`a@${'ü'.repeat(58)}.example`, long(255), `${'a'.repeat(1_000_000)}@b.example`, `a@b\ud800.example`],
  ]
  for (const text of refused) t.equal(canonicalAddress(text), null, JSON.stringify(text).slice(0, 80))
})

t.test('a search looks for a part as it is stored', async (t) => {
  for (const [part, ...spellings] of [
    ['ANN@BÜCHER.ex', 'ann@bücher.ex', 'ann@xn--bcher-kva.ex'],
    ['bu\u0308cher。example', 'bücher.example', 'xn--bcher-kva.example'],
    ['@ｂücher', '@bücher', '@xn--bcher-kva'],
    ['XN--BCHER', 'xn--bcher'],
    ['ΒΌΛΟΣ', 'βόλος', 'xn--nxasmq6b'],
    ['Ärger', 'ärger', 'xn--rger-koa'],
    ['a_b%', 'a_b%'],
    ['', ''],
  ] as const) {
    t.strictSame([...partialSpellings(part)], spellings, part)
  }
})
