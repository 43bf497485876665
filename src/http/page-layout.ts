import { createHash } from 'node:crypto'
import type { Brand } from '../platform/brand-settings.ts'
import { textOn } from '../platform/color.ts'
import { escapeHtml } from '../platform/html.ts'
import { directionOf } from '../platform/locale.ts'
import { PAGE_STYLE } from './page-style.ts'
import type { PageWords } from './page-texts.ts'

/** The content of a page, as HTML. */
export interface PageContent {
  title: string
  body: string
  /** The only script that runs: a fixed text, which may call this server. The page has to work without it. */
  script?: string
  /** Where a form leads in the end, besides this server: sources of the `form-action` of CSP. */
  formTargets?: readonly string[]
}

/** What all pages of a service share. */
export interface PageLayout {
  /**
   * The `Content-Security-Policy` of a page: no script runs but its own, only the styles of the layout apply, only the
   * logo is loaded.
   */
  policy(content: Pick<PageContent, 'script' | 'formTargets'>): string
  render(content: PageContent, words: PageWords): string
}

export function createPageLayout(brand: Brand): PageLayout {
  const name = escapeHtml(brand.name)
  // Links keep their own colour: that of a brand need not be readable on the card.
  const style = brand.color
    ? `${PAGE_STYLE}:root { --action: ${brand.color}; --on-action: ${textOn(brand.color)}; --action-edge: var(--line) }\n`
    : PAGE_STYLE
  const logo = brand.logoUrl && escapeHtml(brand.logoUrl)
  const header = logo ? `<img src="${logo}" alt="${name}" referrerpolicy="no-referrer">` : name
  const help = brand.support && escapeHtml(hrefOf(brand.support))
  const styleHash = hashOf(style)

  return {
    policy: ({ script, formTargets = [] }) =>
      [
        "default-src 'none'",
        `style-src ${styleHash}`,
        ...(script ? [`script-src ${hashOf(script)}`, "connect-src 'self'"] : []),
        ...(brand.logoUrl ? [`img-src ${new URL(brand.logoUrl).origin}`] : []),
        ["form-action 'self'", ...formTargets].join(' '),
        "frame-ancestors 'none'",
        "base-uri 'none'",
      ].join('; '),
    render: ({ title, body, script }, { lang, say }) => `<!doctype html>
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
${help ? `<footer><a href="${help}">${say('page.help')}</a></footer>\n` : ''}${script ? `<script>${script}</script>\n` : ''}</body>
</html>
`,
  }
}

/** A source of CSP that allows exactly this inline text. */
const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

const hrefOf = (support: string) => (/^https?:/.test(support) ? support : `mailto:${support}`)

/** Keeps words such as `e-mail` on one line. */
const withoutBreaks = (title: string) =>
  title.replace(/(?<!\S)[^\s<>-]{1,8}(?:-[^\s<>-]{1,8}){1,2}(?!\S)/g, '<span>$&</span>')
