import t from 'tap'
import { directionOf, matchingLocale } from '../../src/platform/locale.ts'

t.test('a reader gets texts in the same language and script', async (t) => {
  const available = ['de', 'en', 'zh-Hant', 'pt-BR', 'pt-PT', 'sr-Latn', 'ar']
  for (const [wanted, found] of [
    ['de', 'de'],
    ['de-AT', 'de'],
    ['de-u-co-phonebk', 'de'],
    ['zh-Hant-TW', 'zh-Hant'],
    ['zh-TW', 'zh-Hant'],
    ['zh-HK', 'zh-Hant'],
    ['zh', undefined],
    ['zh-CN', undefined],
    ['pt', 'pt-BR'],
    ['pt-PT', 'pt-PT'],
    ['pt-AO', 'pt-BR'],
    ['sr', undefined],
    ['sr-Latn-RS', 'sr-Latn'],
    ['tlh', undefined],
  ] as const)
    t.equal(matchingLocale(wanted, available), found, wanted)
})

t.test('a language is written from the left or from the right', async (t) => {
  for (const tag of ['ar', 'he', 'fa-IR', 'ur', 'az-Arab', 'yi', 'dv']) t.equal(directionOf(tag), 'rtl', tag)
  for (const tag of ['de', 'en', 'az', 'zh-Hant', 'tlh', 'ru']) t.equal(directionOf(tag), 'ltr', tag)
})
