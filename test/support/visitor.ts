import type { Answer, Caller } from './caller.ts'
import { OWN, openPage, submitForm } from './interaction.ts'

/** A person's browser, without scripts: it keeps cookies and follows redirects within the server. */
export function createVisitor(server: Pick<Caller, 'call'>) {
  const cookies = new Map<string, string>()
  const headers = () => ({ cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') })

  function keep(answer: Answer): Answer {
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }

  /** The last answer: a page, or a redirect to elsewhere. */
  async function follow(answer: Answer): Promise<Answer> {
    const location = answer.headers.get('location')
    if (answer.status !== 303 || !location) return answer
    const { origin, pathname, search } = new URL(location, OWN)
    return origin === OWN ? open(pathname + search) : answer
  }

  const open = async (path: string): Promise<Answer> => follow(keep(await openPage(server, path, headers())))
  const submit = async (path: string, fields: Record<string, string>): Promise<Answer> =>
    follow(keep(await submitForm(server, path, fields, headers())))

  /** Signs in on the page that a client's request has led to. */
  const signIn = (page: Answer, { email, password }: { email: string; password: string }) =>
    submit('/auth/sign-in', { email, password, ticket: hidden(page, 'ticket') })

  const decide = (page: Answer, decision: 'allow' | 'deny') =>
    submit('/oauth/authorize/decide', { ticket: hidden(page, 'ticket'), decision })

  return { cookies, open, submit, signIn, decide }
}

/** A hidden field of a page. */
export const hidden = ({ text }: Answer, name: string): string =>
  new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? ''

export const titleOf = ({ text }: Answer): string | undefined =>
  /<h1>(.*?)<\/h1>/.exec(text)?.[1]?.replace(/<.*?>/g, '')

/** The parameters with which an answer leads back to the client. */
export const parametersOf = (answer: Answer): Record<string, string> =>
  Object.fromEntries(new URL(answer.headers.get('location') ?? '').searchParams)
