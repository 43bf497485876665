import type { InboxMail } from '../../core/mail/mail.ts'
import { escapeHtml } from '../../platform/html.ts'

/** No scripts and no external resources. The mails' frames inherit this policy, and their styles are inline. */
export const INBOX_CSP = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The inbox as a page. It does not reload by itself: its reader may be in the middle of a mail. */
export const inboxPage = (mails: readonly InboxMail[]): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Inbox (${mails.length})</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Inbox</h1>
<p class="soft">Mail from this development server. None of it has left this machine.</p>
<form method="post" action="/dev/inbox/clear"><a href="/dev/inbox">Look for new mail</a> <button type="submit">Clear the inbox</button></form>
${mails.map(article).join('\n') || EMPTY}
</main>
</body>
</html>
`

const EMPTY = '<p class="empty">No mail yet. Register an account, and its mail will appear here.</p>'

function article(mail: InboxMail): string {
  const links = linksIn(mail.text).map((link) => {
    const href = escapeHtml(link)
    return `<li><a href="${href}" target="_blank" rel="noopener noreferrer">${href}</a></li>`
  })
  const subject = escapeHtml(mail.subject)
  const time = `<time datetime="${escapeHtml(mail.at)}">${readable(mail.at)}</time>`
  const content = escapeHtml(inNewTab(mail.html))
  return `<article>
<header>
<h2>${subject}</h2>
<p class="soft">to <b>${escapeHtml(mail.to)}</b> · ${time}</p>
${links.length > 0 ? `<ul>${links.join('')}</ul>` : ''}
</header>
<iframe title="${subject}" loading="lazy" sandbox="${SANDBOX}" srcdoc="${content}"></iframe>
</article>`
}

// A linked page must open outside the sandbox, or it could not submit its form.
const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation'

const inNewTab = (html: string) =>
  html.includes('<head>')
    ? html.replace('<head>', '<head><base target="_blank">')
    : `<base target="_blank">${html}`

/** The links of the message, without those of its signature. */
const linksIn = (text: string) => [...new Set(text.split('\n-- \n')[0]?.match(/https?:\/\/\S+/g))]

const readable = (at: string) => escapeHtml(at.slice(0, 19).replace('T', ' ').concat(' UTC'))

const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f3f4f7; --card: #fff; --ink: #171a21; --soft: #5b6473; --rule: #e3e6ec; --link: #2f4fd8
}
@media (prefers-color-scheme: dark) {
  :root { --page: #0f1115; --card: #191c23; --ink: #eceef2; --soft: #a3abba; --rule: #2a2f3a; --link: #a9bcff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 760px; margin: 0 auto; padding: 32px 16px }
h1 { margin: 0; font-size: 26px }
h2 { margin: 0; font-size: 18px }
p { margin: 4px 0 }
a { color: var(--link); overflow-wrap: anywhere }
ul { margin: 8px 0 0; padding: 0 0 0 18px; font-size: 14px }
article { margin: 24px 0; background: var(--card); border: 1px solid var(--rule) }
article { border-radius: 12px; overflow: hidden }
article header { padding: 18px 20px; border-bottom: 1px solid var(--rule) }
iframe { display: block; width: 100%; height: 560px; border: 0 }
form { margin: 12px 0; font-size: 14px }
button { margin-left: 12px; font: inherit }
.soft { color: var(--soft); font-size: 14px }
.soft b { color: var(--ink); font-weight: 600 }
.empty { margin-top: 32px; padding: 48px 20px; text-align: center; color: var(--soft) }
.empty { border: 1px dashed var(--rule); border-radius: 12px }
`
