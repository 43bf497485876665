import type { Brand } from '../../platform/brand-settings.ts'
import { textOn } from '../../platform/color.ts'
import { escapeHtml } from '../../platform/html.ts'
import { directionOf } from '../../platform/locale.ts'

/** A mail, in the order of its blocks. Both of its parts are rendered from this, so both are complete. */
export interface Letter {
  /** The language, as a BCP 47 tag. */
  lang: string
  subject: string
  heading: string
  blocks: readonly LetterBlock[]
  /** The line above the link below a button, and the line at the end. */
  openInBrowser: string
  sentBy: string
}

export type LetterBlock =
  | { kind: 'paragraph'; text: string }
  /** Small print: what to do if this was not you, when the link expires. */
  | { kind: 'note'; text: string }
  | { kind: 'facts'; facts: readonly (readonly [label: string, value: string])[] }
  | { kind: 'button'; label: string; link: string }

/** The plain-text part: complete by itself, with the link alone on its line. */
export function layoutText({ heading, blocks }: Letter, brand: Brand): string {
  const texts = blocks.map((block) => {
    if (block.kind === 'facts') return block.facts.map(([label, value]) => `${label}: ${value}`).join('\n')
    return block.kind === 'button' ? `${block.label}:\n${block.link}` : block.text
  })
  return `${[heading, ...texts, `-- \n${brand.name}\n${brand.url}`].filter(Boolean).join('\n\n')}\n`
}

const FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"

// Light colours are inline for clients that drop <style>; the dark ones override them in clients that read it.
const STYLE = `
:root { color-scheme: light dark; supported-color-schemes: light dark }
@media (max-width: 480px) { .page { padding: 12px !important } .card { padding: 24px 20px !important } }
@media (prefers-color-scheme: dark) {
  body, .page { background: #0f1115 !important }
  .card { background: #191c23 !important; border-color: #2a2f3a !important }
  .ink, .ink a { color: #eceef2 !important }
  .soft, .soft a { color: #a3abba !important }
  .rule { border-color: #2a2f3a !important }
}`
// A colour of one's own stays as it is.
const DARK_BUTTON = `
@media (prefers-color-scheme: dark) { .button { background: #8fa8ff !important; color: #10131c !important } }`

const SOFT = 'font-size:14px;line-height:1.55;color:#5b6473'
const INK = 'line-height:1.55;color:#171a21'
const COLOR = '#2f4fd8'
const buttonStyle = (color: string) =>
  [
    `display:inline-block;padding:14px 24px;border-radius:8px;background:${color};color:${textOn(color)}`,
    'text-decoration:none;font-size:16px;font-weight:600;line-height:1.2',
  ].join(';')

/** The HTML part. Of external resources it loads only the logo, if there is one. */
export function layoutHtml(letter: Letter, brand: Brand): string {
  // Spelled as in the filled-in texts.
  const name = escapeHtml(brand.name.replace(/\s+/g, ' ').trim())
  const color = brand.color ?? COLOR
  const linked = (text: string) => withLinks(text, brand)
  const home = `<a href="${escapeHtml(brand.url)}" style="color:#5b6473">${name}</a>`
  const footer = escapeHtml(letter.sentBy).replace(name, () => home)
  const body = letter.blocks.map((block) => {
    if (block.kind === 'facts') return factList(block.facts)
    if (block.kind === 'button') return button(block, letter.openInBrowser, color)
    return block.kind === 'note' ? note(linked(block.text)) : paragraph(linked(block.text))
  })
  const logo = brand.logoUrl
    ? `<img src="${escapeHtml(brand.logoUrl)}" alt="${name}" height="32" style="display:block;height:32px">`
    : name
  return `<!doctype html>
<html lang="${escapeHtml(letter.lang)}" dir="${directionOf(letter.lang)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(letter.subject)}</title>
<style>${STYLE}${brand.color ? '' : DARK_BUTTON}
</style>
</head>
<body style="margin:0;padding:0;background:#f3f4f7">
<div class="page" dir="${directionOf(letter.lang)}" style="background:#f3f4f7;padding:32px 16px;${FONT}">
<div style="max-width:520px;margin:0 auto">
<p class="soft" style="margin:0 0 16px;font-weight:600;${SOFT}">${logo}</p>
<div class="card" style="background:#ffffff;border:1px solid #e3e6ec;border-radius:12px;padding:32px">
<h1 class="ink" style="margin:0 0 16px;font-size:22px;${INK}">${escapeHtml(letter.heading)}</h1>
${body.filter(Boolean).join('\n')}
</div>
<p class="soft" style="margin:16px 0 0;${SOFT}">
${footer}</p>
</div>
</div>
</body>
</html>
`
}

const paragraph = (html: string) => `<p class="ink" style="margin:0 0 16px;font-size:16px;${INK}">${html}</p>`

const note = (html: string) =>
  `<p class="soft rule" style="margin:16px 0 0;padding:16px 0 0;border-top:1px solid #e3e6ec;${SOFT}">
${html}</p>`

function button(
  { label, link }: { label: string; link: string },
  openInBrowser: string,
  color: string,
): string {
  const href = escapeHtml(link)
  return `<p style="margin:24px 0"><a class="button" href="${href}" style="${buttonStyle(color)}">${escapeHtml(label)}</a></p>
<p class="soft" style="margin:0 0 24px;${SOFT}">${escapeHtml(openInBrowser)}<br>
<a href="${href}" style="color:inherit;word-break:break-all">${href}</a></p>`
}

function factList(facts: readonly (readonly [string, string])[]): string {
  if (facts.length === 0) return ''
  const rows = facts.map(([label, value]) => {
    const name = `<span class="soft" style="color:#5b6473">${escapeHtml(label)}:</span>`
    return `${name} <strong>${escapeHtml(value)}</strong>`
  })
  return `<p class="ink" style="margin:0 0 16px;font-size:15px;${INK}">${rows.join('<br>\n')}</p>`
}

/** Escaped text in which every URL, and the address of the support, is a link. */
function withLinks(text: string, { support }: Brand): string {
  return text
    .split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)])/)
    .flatMap((part) => (support && !/^https?:/.test(part) ? split(part, support) : [part]))
    .map((part) => {
      const isMail = part === support && !/^https?:/.test(part)
      if (!isMail && !/^https?:\/\/./.test(part)) return escapeHtml(part)
      const href = escapeHtml(isMail ? `mailto:${part}` : part)
      return `<a href="${href}" style="color:inherit;word-break:break-all">${escapeHtml(part)}</a>`
    })
    .join('')
}

/** The text before, between and after each occurrence of a part, and the occurrences. */
const split = (text: string, part: string) =>
  text.split(part).flatMap((rest, index) => (index === 0 ? [rest] : [part, rest]))
