import { createHash } from 'node:crypto'
import type { Brand } from '../platform/brand-settings.ts'
import { textOn } from '../platform/color.ts'
import { escapeHtml } from '../platform/html.ts'
import { directionOf } from '../platform/locale.ts'
import type { PageWords } from './page-texts.ts'

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5a6270; --paper: #f5f6f8; --card: #fff; --accent: #2456d6; --line: #d9dde3; --alert: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a4acb9; --paper: #121417; --card: #1c1f24; --accent: #7ba2ff; --line: #343a43; --alert: #ff9b93 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; min-height: 100svh; padding: 1.5rem 0; display: grid; align-content: center; justify-items: center; gap: .75rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
header, main, footer { width: min(26rem, 92vw) }
header, footer { color: var(--soft); padding: 0 .25rem }
header { font-weight: 600 }
header img { display: block; max-width: 100%; max-height: 2.5rem }
footer { font-size: .9rem }
footer a { color: inherit }
main { padding: clamp(1.25rem, 5vw, 2rem); background: var(--card); border: 1px solid var(--line); border-radius: 12px }
h1 { margin: 0 0 .75rem; font-size: 1.3rem; line-height: 1.3; text-wrap: balance }
h1 span { white-space: nowrap }
p { margin: .75rem 0 }
a { color: var(--accent) }
label { display: block; margin: 1rem 0 .25rem }
input { width: 100%; padding: .6rem; font: inherit; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); color: inherit }
input[readonly] { background: none; color: var(--soft); text-overflow: ellipsis }
ul { margin: 1rem 0; padding-inline-start: 1.25rem }
button, .button { display: block; margin-top: 1.25rem; width: 100%; padding: .7rem; font: inherit; font-weight: 600; text-align: center; text-decoration: none; border: 0; border-radius: 8px; background: var(--accent); color: var(--card); cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.alert { color: var(--alert); font-weight: 600 }
.soft { color: var(--soft); font-size: .9rem }
main > :last-child { margin-bottom: 0 }
`

/** The content of a page, as HTML. */
export interface PageContent {
  title: string
  body: string
}

/** What all pages of a service share. */
export interface PageLayout {
  /** The `Content-Security-Policy`: no script runs, only the styles of the layout apply, only the logo is loaded. */
  policy: string
  render(content: PageContent, words: PageWords): string
}

export function createPageLayout(brand: Brand): PageLayout {
  const name = escapeHtml(brand.name)
  // Links keep their own colour: that of a brand need not be readable on the card.
  const style = brand.color
    ? `${STYLE}button, .button { background: ${brand.color}; color: ${textOn(brand.color)}; border: 1px solid var(--line) }\n`
    : STYLE
  const logo = brand.logoUrl && escapeHtml(brand.logoUrl)
  const header = logo ? `<img src="${logo}" alt="${name}" referrerpolicy="no-referrer">` : name
  const help = brand.support && escapeHtml(hrefOf(brand.support))
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    ...(brand.logoUrl ? [`img-src ${new URL(brand.logoUrl).origin}`] : []),
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')

  return {
    policy,
    render: ({ title, body }, { lang, say }) => `<!doctype html>
<html lang="${escapeHtml(lang)}" dir="${directionOf(lang)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · ${name}</title>
<style>${style}</style>
</head>
<body>
<header>${header}</header>
<main>
<h1>${withoutBreaks(title)}</h1>
${body}
</main>
${help ? `<footer><a href="${help}">${say('page.help')}</a></footer>\n` : ''}</body>
</html>
`,
  }
}

const hrefOf = (support: string) => (/^https?:/.test(support) ? support : `mailto:${support}`)

/** Keeps words such as `e-mail` on one line. */
const withoutBreaks = (title: string) =>
  title.replace(/(?<!\S)[^\s<>-]{1,8}(?:-[^\s<>-]{1,8}){1,2}(?!\S)/g, '<span>$&</span>')
