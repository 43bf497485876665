import { type Brand, linkButton, type PageContent } from '../../http/page.ts'
import { escapeHtml } from '../../platform/html.ts'
import { VERSION } from '../../platform/version.ts'

export interface StartPageLinks {
  forgotPassword: string
  /** The inbox of the development server, if it has one. */
  inbox: string | undefined
}

/** What this server is, and where people and developers go from here. In production it tells no details. */
export function startPage(brand: Brand, links: StartPageLinks, production: boolean): PageContent {
  const name = escapeHtml(brand.name)
  const entries = [
    ['Forgot your password?', links.forgotPassword],
    ['For developers: the API', '/docs'],
    ...(links.inbox ? [['Mail from this development server', links.inbox] as const] : []),
  ] as const
  const list = entries
    .map(([label, href]) => `<li><a href="${escapeHtml(href)}">${label}</a></li>`)
    .join('\n')
  return {
    title: `Accounts of ${name}`,
    body: `<p>This server keeps the accounts and sessions of ${name}. ${
      brand.signInUrl ? '' : 'To sign in, open the app or the website that uses it.'
    }</p>
${brand.signInUrl ? linkButton('Sign in', brand.signInUrl) : ''}
<ul>${list}</ul>${production ? '' : `<p class="soft">Ratchet ${escapeHtml(VERSION)}, for development</p>`}`,
  }
}
