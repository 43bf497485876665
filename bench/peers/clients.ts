import type { Answer } from '../connection.ts'
import type { Client } from '../load.ts'

/** An HTTP/1.1 request with a JSON body, a form, or none. ASCII only. */
export function compose(
  target: string,
  headers: Record<string, string>,
  body?: object | URLSearchParams,
): string {
  const lines = Object.entries({ Host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}`)
  if (!body) return `${[`GET ${target} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`
  const isForm = body instanceof URLSearchParams
  const text = isForm ? body.toString() : JSON.stringify(body)
  const type = isForm ? 'application/x-www-form-urlencoded' : 'application/json'
  const ownLines = [...lines, `Content-Type: ${type}`, `Content-Length: ${text.length}`]
  return `${[`POST ${target} HTTP/1.1`, ...ownLines].join('\r\n')}\r\n\r\n${text}`
}

/** Sends the same requests over and over, each with the text that its answer must contain. */
export function repeating(exchanges: readonly { request: string; contains: string }[]): Client {
  let at = -1
  const current = () => exchanges[at] as { request: string; contains: string }
  return {
    next() {
      at = (at + 1) % exchanges.length
      return current().request
    },
    onAnswer({ body }) {
      if (!body.includes(current().contains))
        throw new Error(`an answer without ${current().contains}: ${body}`)
    },
  }
}

/** Rotates one family, always with the token of the previous answer, which must be a new one. */
export function rotating(first: string, requestWith: (token: string) => string): Client {
  let token = first
  return {
    next: () => requestWith(token),
    onAnswer(answer) {
      const { access_token, refresh_token } = JSON.parse(answer.body)
      if (access_token?.split('.').length !== 3) throw new Error(`no JWT as access token: ${answer.body}`)
      if (!refresh_token || refresh_token === token) throw new Error(`no new refresh token: ${answer.body}`)
      token = refresh_token
    },
  }
}

/** Extends one session of Better Auth, whose token stays the same. */
export function extending(request: string): Client {
  let sentAt = 0
  return {
    next() {
      sentAt = Date.now()
      return request
    },
    onAnswer({ body }: Answer) {
      const { session } = JSON.parse(body)
      if (!(Date.parse(session?.updatedAt) >= sentAt)) throw new Error(`not extended: ${body}`)
    },
  }
}
