import { linkButton, type PageContent, type PageWriter } from '../../http/page.ts'
import { escapeHtml } from '../../platform/html.ts'
import { VERSION } from '../../platform/version.ts'

export interface StartPageLinks {
  forgotPassword: string
  /** The inbox of the development server, if it has one. */
  inbox: string | undefined
}

/** What this server is, and where people and developers go from here. In production it tells no details. */
export function startPage(
  { say, path, brand }: PageWriter,
  links: StartPageLinks,
  production: boolean,
): PageContent {
  const { name, signInUrl } = brand
  const entries = [
    [say('start.forgot_password'), path(links.forgotPassword)],
    [say('start.developers'), '/docs'],
    ...(links.inbox ? [['Mail from this development server', escapeHtml(links.inbox)] as const] : []),
  ] as const
  const list = entries.map(([label, href]) => `<li><a href="${href}">${label}</a></li>`).join('\n')
  return {
    title: say('start.title', { brand: name }),
    body: `<p>${say('start.text', { brand: name })} ${signInUrl ? '' : say('start.sign_in_elsewhere')}</p>
${signInUrl ? linkButton(say('page.sign_in'), escapeHtml(signInUrl)) : ''}
<ul>${list}</ul>${production ? '' : `<p class="soft">Ratchet ${escapeHtml(VERSION)}, for development</p>`}`,
  }
}
