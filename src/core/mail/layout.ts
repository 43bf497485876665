import { escapeHtml } from '../../platform/html.ts'

/** The sender's name and address on the web, as the reader knows them. */
export interface Brand {
  name: string
  /** The link behind the name. */
  url: string
}

/** The content of a mail, in order. Both of its parts are rendered from this, so both are complete. */
export interface Letter {
  subject: string
  heading: string
  paragraphs: readonly string[]
  /** The sentence before the button, after the facts. */
  request?: string
  action?: Action | undefined
  /** Several buttons, each below the facts that tell it from the others. */
  choices?: readonly { facts: readonly Fact[]; action: Action }[]
  /** Small print below the button: what to do if this was not you, when the link expires. */
  notes: readonly string[]
  /** Facts, as label and value. */
  facts?: readonly Fact[] | undefined
}

type Fact = readonly [label: string, value: string]
interface Action {
  label: string
  link: string
}

/** The plain-text part: complete by itself, with the link alone on its line. */
export function layoutText(letter: Letter, brand: Brand): string {
  const factsOf = (facts: readonly Fact[]) => facts.map(([label, value]) => `${label}: ${value}`).join('\n')
  const textOf = ({ label, link }: Action) => `${label}:\n${link}`
  const blocks = [
    letter.heading,
    ...letter.paragraphs,
    factsOf(letter.facts ?? []),
    letter.request,
    letter.action && textOf(letter.action),
    ...(letter.choices ?? []).flatMap(({ facts, action }) => [factsOf(facts), textOf(action)]),
    ...letter.notes,
  ]
  return `${[...blocks, `-- \n${brand.name}\n${brand.url}`].filter(Boolean).join('\n\n')}\n`
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
  .button { background: #8fa8ff !important; color: #10131c !important }
  .link { color: #a9bcff !important }
}`

const SOFT = 'font-size:14px;line-height:1.55;color:#5b6473'
const INK = 'line-height:1.55;color:#171a21'
const BUTTON = [
  'display:inline-block;padding:14px 24px;border-radius:8px;background:#2f4fd8;color:#ffffff',
  'text-decoration:none;font-size:16px;font-weight:600;line-height:1.2',
].join(';')

/** The HTML part. It loads no external resources. */
export function layoutHtml(letter: Letter, brand: Brand): string {
  const name = escapeHtml(brand.name)
  const body = [
    ...letter.paragraphs.map(paragraph),
    factList(letter.facts ?? []),
    letter.request ? paragraph(letter.request) : '',
    letter.action ? button(letter.action) : '',
    ...(letter.choices ?? []).flatMap(({ facts, action }) => [factList(facts), button(action)]),
    ...letter.notes.map(note),
  ]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(letter.subject)}</title>
<style>${STYLE}
</style>
</head>
<body style="margin:0;padding:0;background:#f3f4f7">
<div class="page" style="background:#f3f4f7;padding:32px 16px;${FONT}">
<div style="max-width:520px;margin:0 auto">
<p class="soft" style="margin:0 0 16px;font-weight:600;${SOFT}">${name}</p>
<div class="card" style="background:#ffffff;border:1px solid #e3e6ec;border-radius:12px;padding:32px">
<h1 class="ink" style="margin:0 0 16px;font-size:22px;${INK}">${escapeHtml(letter.heading)}</h1>
${body.filter(Boolean).join('\n')}
</div>
<p class="soft" style="margin:16px 0 0;${SOFT}">
Sent by <a href="${escapeHtml(brand.url)}" style="color:#5b6473">${name}</a>
because someone used this e-mail address there.</p>
</div>
</div>
</body>
</html>
`
}

const paragraph = (text: string) =>
  `<p class="ink" style="margin:0 0 16px;font-size:16px;${INK}">${escapeHtml(text)}</p>`

const note = (text: string) =>
  `<p class="soft rule" style="margin:16px 0 0;padding:16px 0 0;border-top:1px solid #e3e6ec;${SOFT}">
${escapeHtml(text)}</p>`

function button({ label, link }: Action): string {
  const href = escapeHtml(link)
  return `<p style="margin:24px 0"><a class="button" href="${href}" style="${BUTTON}">${escapeHtml(label)}</a></p>
<p class="soft" style="margin:0;${SOFT}">Or open this address in a browser:<br>
<a class="link" href="${href}" style="color:#2f4fd8;word-break:break-all">${href}</a></p>`
}

function factList(facts: readonly Fact[]): string {
  if (facts.length === 0) return ''
  const rows = facts.map(([label, value]) => {
    const name = `<span class="soft" style="color:#5b6473">${escapeHtml(label)}:</span>`
    return `${name} <strong>${escapeHtml(value)}</strong>`
  })
  return `<p class="ink" style="margin:0 0 16px;font-size:15px;${INK}">${rows.join('<br>\n')}</p>`
}
