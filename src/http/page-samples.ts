import type { Brand } from '../platform/brand-settings.ts'
import { createPageLayout } from './page-layout.ts'
import { PAGE_TEXTS, type PageTexts, type PageWords } from './page-texts.ts'

/** A value for every variable. */
const SAMPLE = {
  min: 12,
  max: 128,
  email: 'ann@example.com',
  client: 'Photo Printer',
  when: '',
  code: 'access_token_invalid',
  id: '7f0c9a52-0d1e-4b7a-9c3e-2a5f8d1b6e40',
}

/** A page for each part of the texts, in every language, with sample data: each of its texts, but none of its forms. */
export function renderPageSamples(
  texts: PageTexts,
  brand: Brand,
): { language: string; name: string; html: string }[] {
  const { render } = createPageLayout(brand)
  const names = Object.keys(PAGE_TEXTS) as (keyof typeof PAGE_TEXTS)[]
  const pages = [...new Set(names.map((name) => name.split('.')[0] as string))]
  return texts.languages.tags.flatMap((language) => {
    const words = texts.get(language)
    const when = new Intl.RelativeTimeFormat(language).format(45, 'second')
    const say = words.say as (text: string, variables: object) => string
    return pages.map((page) => {
      const [title = '', ...rest] = names
        .filter((name) => name.startsWith(`${page}.`))
        .map((name) => say(name, { ...SAMPLE, brand: brand.name, when }))
      const body = rest.map((text) => `<p>${text}</p>`).join('\n')
      return { language, name: page, html: render({ title, body }, words satisfies PageWords) }
    })
  })
}
