export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer of the server
  body: any
  text: string
}

export interface CallOptions {
  body?: unknown
  bearer?: string
  headers?: Record<string, string>
}

/** What calls a server over HTTP. */
export type Caller = ReturnType<typeof createCaller>

/** Calls the server at a URL; what is passed sees each answer first. */
export function createCaller(url: string, onAnswer: (method: string, path: string, answer: Answer) => void) {
  async function call(
    method: string,
    path: string,
    { body, bearer, headers = {} }: CallOptions = {},
  ): Promise<Answer> {
    const response = await fetch(url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = /json/.test(response.headers.get('content-type') ?? '') && text !== ''
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body: json ? JSON.parse(text) : undefined,
      text,
    }
    onAnswer(method, path, answer)
    return answer
  }
  const post = (path: string, body: unknown, extra: CallOptions = {}) =>
    call('POST', path, { body, ...extra })

  return { call, post }
}
