import { createHook } from 'node:async_hooks'
import { domainToASCII } from 'node:url'
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { dictionary } from '@zxcvbn-ts/language-common'
import fc from 'fast-check'
import t from 'tap'
import { createPasswordPolicy } from '../../../src/core/passwords/password-policy.ts'
import { isProblem } from '../../../src/core/problems/problems.ts'
import { callsOf } from '../../support/costs.ts'
import { check } from '../../support/property.ts'
import { movableClock } from '../../support/server.ts'
import { anyCharacter } from '../../support/spellings.ts'

const log = { info() {}, warn() {} }
const open = (appName: string, minLength = 12) =>
  createPasswordPolicy({ minLength, appName, breachedPasswordsUrl: undefined, clock: movableClock(), log })

const EMAIL = 'ada.lovelace@analytical-engines.example'
const policy = open('Blue Ratchet')

async function reasons(password: string, { email = EMAIL, hasSecondFactor = false, by = policy } = {}) {
  try {
    await by.check(password, { email, hasSecondFactor })
    return []
  } catch (error) {
    if (!isProblem(error, 'password_too_weak')) throw error
    return error.members.reasons
  }
}

t.test(
  'repetitions, sequences, patterns and common words with a little around them are refused',
  async (t) => {
    for (const password of [
      'aaaaaaaaaaaa',
      '111111111111',
      'Password1234!',
      'aaaabbbbcccc',
      'qqqqwwwweeee',
      'Winter2025!!!',
      'Monday2025!!!',
      'P@ssw0rd1234!',
      'PASSWORD!!!!1',
      'drowssap12345',
      '............',
      '            ',
      '🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑',
      'ääääääääääää',
      'ababababababab',
      'abcabcabcabcabc',
      'abc123abc123abc123',
      'abcdefghijkl',
      'zyxwvutsrqpo',
      'абвгдежзийкл',
      'acegikmoqsuw',
      '0123456789012',
      'qwertyuiop123',
      'asdfghjkl;12',
      'qazwsxedc123',
      'letmein12345',
      'iloveyou2026',
      'Charlotte1987',
      'Welcome12345!',
      'Summer2026!!',
      'London2024!!!',
      'admin@123456',
      'Test@123456!',
      'x'.repeat(128),
      'password'.repeat(16),
      'qwertyuiopasdfghjkl'.repeat(6),
      '\u00e9'.repeat(100),
    ]) {
      const [reason, ...others] = await reasons(password)
      t.ok(reason === 'easily_guessed' || reason === 'common', `${password.slice(0, 40)}: ${reason}`)
      t.strictSame(others, [])
    }
    for (const password of ['aaaaaaaa', 'abcdefgh', '12121212', 'monkey12']) {
      const [reason] = await reasons(password, { hasSecondFactor: true })
      t.ok(reason === 'easily_guessed' || reason === 'common', `${password}: ${reason}`)
    }
  },
)

t.test('a few characters that repeat are refused, in any script and length', async (t) => {
  const base = fc.array(anyCharacter, { minLength: 1, maxLength: 2 })
  await check(
    t,
    fc.asyncProperty(base, fc.integer({ min: 12, max: 64 }), async (parts, times) => {
      const password = parts.join('').repeat(times)
      const visible = [...password.normalize('NFC')]
      if (visible.length < 12 || visible.length > 128) return true
      return (await reasons(password)).length === 1
    }),
    {},
  )
})

t.test(
  'the address, its parts and the name of the service are refused with a little around them',
  async (t) => {
    for (const [password, reason] of [
      [`${EMAIL}1`, 'based_on_email'],
      ['ada.lovelace!!', 'based_on_email'],
      ['AdaLovelace2026', 'based_on_email'],
      ['lovelace_ada_1815', 'based_on_email'],
      ['analytical-engines.example', 'based_on_email'],
      ['AnalyticalEngines99', 'based_on_email'],
      ['xx-Analytical-Engines-xx', 'based_on_email'],
      ['Blue Ratchet 1', 'based_on_app_name'],
      ['blueratchet!!', 'based_on_app_name'],
      ['ratchetratchet', 'based_on_app_name'],
      ['BLUE-RATCHET-2026!', 'based_on_app_name'],
      ['!!!!ratchet????', 'based_on_app_name'],
    ] as const) {
      t.strictSame(await reasons(password), [reason], password)
    }
    t.strictSame(await reasons('ratchet-ada.lovelace'), ['based_on_email', 'based_on_app_name'])
    t.strictSame(
      await reasons('bücherwurm.example1', { email: `ann@${domainToASCII('bücherwurm.example')}` }),
      ['based_on_email'],
    )
    t.strictSame(
      await reasons('müller.example77', { email: 'jo@xn--mller-kva.example' }),
      ['based_on_email'],
      'as its owner writes it',
    )
    const by = open('auth.service.example')
    t.strictSame(
      await reasons('auth.service.example', { by }),
      ['based_on_app_name'],
      'a host name is a name too',
    )

    const zoe = open('Café Zoë')
    for (const password of ['CaféZoë123', 'cafezoe-2026', 'CAFE ZOE!']) {
      t.strictSame(
        await reasons(password, { by: zoe, hasSecondFactor: true }),
        ['based_on_app_name'],
        password,
      )
    }

    const word = fc.constantFrom(
      EMAIL,
      'ada.lovelace',
      'analytical-engines.example',
      'Blue Ratchet',
      'analyticalengines',
    )
    const around = fc.string({ maxLength: 2 })
    await check(
      t,
      fc.asyncProperty(word, around, around, fc.func(fc.boolean()), async (name, before, after, isUpper) => {
        const cased = [...name]
          .map((letter, index) => (isUpper(index) ? letter.toUpperCase() : letter))
          .join('')
        return (await reasons(before + cased + after)).length > 0
      }),
      {},
    )
    t.strictSame(await reasons('ada keeps a green lantern in the orchard'), [], 'a name within a passphrase')
    t.strictSame(await reasons('ratchet straps hold seven kayaks'), [])
    t.strictSame(await reasons('correct horse battery', { email: 'a@b.example', by: open('') }), [])
  },
)

const ASCII = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))
const ALPHABETS = {
  lower: [...'abcdefghijklmnopqrstuvwxyz'],
  alphanumeric: ASCII.filter((character) => /[a-z0-9]/i.test(character)),
  ascii: ASCII,
  cyrillic: [...'абвгдежзийклмнопрстуфхцчшщъыьэюя'],
  hiragana: [
    ...'あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん',
  ],
  emoji: [...'🔑🚪🏠🌳🦉🌙🔭📖🐈🚲🍐🎻🧭🪁🐌🌵🍄🧊🎈🪐🧵🥁🦀🐙🌽🧀🪴🛶🧦🎒🪵🐝'],
}

t.test('a random password of the minimum length is accepted', async (t) => {
  const lengths = [
    { length: 12, hasSecondFactor: false },
    { length: 8, hasSecondFactor: true },
  ]
  for (const [name, alphabet] of Object.entries(ALPHABETS)) {
    for (const { length, hasSecondFactor } of lengths) {
      // Uniform, as a password manager draws; fast-check prefers small values.
      const password = fc.noShrink(
        fc
          .infiniteStream(fc.noBias(fc.constantFrom(...alphabet)))
          .map((stream) => [...stream.take(length)].join('')),
      )
      const refused: string[] = []
      const judged = fc.asyncProperty(password, async (text) => {
        if ((await reasons(text, { hasSecondFactor })).length > 0) refused.push(text)
      })
      await check(t, judged, { numRuns: 40 })
      // About one of 10,000 is refused rightly: eight letters drawn at random can be `znwanted`.
      t.ok(refused.length <= 1, `${length} of ${name}: ${refused}`)
    }
  }
})

const WORDS = {
  english: dictionary['diceware-common'].filter((word) => /^[a-z]{3,}$/.test(word)),
  german:
    'gurke laterne zwölf ofen brücke leise möwe anker wolle spät kiesel traum acker rüde pfad quelle'.split(
      ' ',
    ),
  french: 'sabot lueur hiver crique étang mûre tiroir plume orage noyer galet tuile verger ombre'.split(' '),
  russian: 'чайник берег лампа ветер огурец тихий мост якорь шерсть поздно камень сон поле тропа'.split(' '),
  greek: 'λάμπα ποτάμι γέφυρα άνεμος πέτρα όνειρο χωράφι μονοπάτι βάρκα ήσυχο'.split(' '),
  arabic: 'مصباح نهر جسر ريح حجر حلم حقل درب قارب هادئ مرساة صوف'.split(' '),
  hindi: 'दीपक नदी पुल हवा पत्थर सपना खेत रास्ता नाव शांत'.split(' '),
  chinese: [...'灯河桥风石梦田路船静锚毛晚云鸟茶窗雪'],
  japanese: 'ランプ かわ はし 風 石 ゆめ 畑 小道 ふね しずか 錨 羊毛'.split(' '),
  korean: '등불 강물 다리 바람 돌멩이 꿈길 밭두렁 오솔길 나룻배 고요'.split(' '),
}

t.test('an honest passphrase is never refused, in any language', async (t) => {
  for (const [language, words] of Object.entries(WORDS)) {
    const least = language === 'chinese' ? 12 : 4
    const passphrase = fc
      .tuple(
        fc.uniqueArray(fc.noBias(fc.constantFrom(...words)), { minLength: least, maxLength: least + 6 }),
        fc.constantFrom(' ', '-', '', '. '),
      )
      .map(([chosen, separator]) => chosen.join(separator))
      .filter((text) => [...text.normalize('NFC')].length >= 12 && [...text.normalize('NFC')].length <= 128)
    const accepted = fc.asyncProperty(passphrase, async (text) => {
      t.strictSame(await reasons(text), [], `${language}: ${text}`)
    })
    await check(t, accepted, { numRuns: 30 })
  }
})

t.test('whatever the password, it is judged in short pieces, and other work runs in between', async (t) => {
  await reasons('the lists are loaded now')
  const checks = callsOf(t, ZxcvbnFactory.prototype, 'check')
  let turns = 0
  const hook = createHook({
    init(_id, type) {
      if (type === 'Immediate') turns += 1
    },
  }).enable()
  t.teardown(() => hook.disable())
  const odd = [
    '4@8({[<6|)39&#1!><7^/2n0()_u$5+vw%z'.repeat(4).slice(0, 128),
    '6969966996696996'.repeat(8),
    '1!|7'.repeat(32),
    '01.02.2003.'.repeat(12).slice(0, 128),
    'aabb'.repeat(32),
    'a'.repeat(128),
    '🔑'.repeat(128),
    'constructor',
    'constructor1',
    'Constructor!!',
    'c0n57ruc70r12',
    'rotcurtsnoc12',
    '__proto__1234',
    '__PROTO__',
    '__pr0t0__pr0t0__',
    '__otorp__ __proto__',
    'hasOwnProperty',
    `${EMAIL}${EMAIL}`,
    `${'constructor__proto__'.repeat(6)}12345678`,
  ]
  for (const password of odd) {
    for (const email of [
      EMAIL,
      'constructor@__proto__.example',
      `${'a.'.repeat(30)}a@${'b.'.repeat(60)}example`,
    ]) {
      await reasons(password, { email })
    }
  }
  const pieces = checks.map(([text]) => String(text).length)
  t.ok(pieces.length > odd.length)
  t.ok(Math.max(...pieces) <= 32)
  turns = 0
  checks.length = 0
  t.strictSame(await reasons('a'.repeat(128)), ['easily_guessed'])
  t.equal(checks.length, 1, 'what is repeated is judged once')
  t.equal(turns, 0)
  checks.length = 0
  const weak = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32)).join('')
  t.strictSame(await reasons(weak), ['easily_guessed'])
  t.equal(checks.length, 8, 'each piece, and what it repeats')
  t.ok(turns >= 3)
  checks.length = 0
  const strong = '4@8({[<6|)39&#1!><7^/2n0()_u$5+vw%z'.repeat(4).slice(0, 128)
  t.strictSame(await reasons(strong), [])
  t.ok(
    checks.every(([text]) => strong.slice(0, 32).includes(String(text))),
    'one strong piece is enough',
  )
  await check(
    t,
    fc.asyncProperty(
      fc.array(anyCharacter, { maxLength: 140 }).map((all) => all.join('')),
      async (text) => {
        await reasons(text, { email: `${text.replaceAll('@', '')}@${text}` })
      },
    ),
    {},
  )
})
