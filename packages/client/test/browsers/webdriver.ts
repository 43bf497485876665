import type { Tab } from './driver.ts'

interface Answer {
  value: unknown
}

/** A session of WebDriver (https://www.w3.org/TR/webdriver2/), at the URL of its server. */
export async function startSession(server: string, capabilities: object) {
  /** @throws if the server refuses. */
  async function send(method: string, path: string, body: object = {}): Promise<unknown> {
    const response = await fetch(`${server}/session${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
    })
    const { value } = (await response.json()) as Answer
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`)
    return value
  }

  const session = (await send('POST', '', { capabilities: { alwaysMatch: capabilities } })) as {
    sessionId: string
    capabilities: { browserVersion: string }
  }
  const root = `/${session.sessionId}`
  const initial = await send('GET', `${root}/window`)
  // A command acts on the tab that was chosen before it.
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = last.then(action)
    last = result.catch(() => {})
    return result
  }

  function tab(handle: string): Tab {
    const command = (method: string, path: string, body?: object) =>
      inTurn(async () => {
        await send('POST', `${root}/window`, { handle })
        return send(method, root + path, body)
      })
    return {
      goto: (url) => command('POST', '/url', { url }),
      reload: () => command('POST', '/refresh'),
      goBack: () => command('POST', '/back'),
      close: () => command('DELETE', '/window'),
      async evaluate<Result>(run: (argument: never) => Result, argument?: unknown) {
        const script = `const [argument, done] = arguments
          new Promise((resolve) => resolve((${run})(argument))).then(
            (value) => done({ text: JSON.stringify(value) }),
            (error) => done({ error: String(error) }))`
        const answer = await command('POST', '/execute/async', { script, args: [argument ?? null] })
        const { text, error } = answer as { text?: string | null; error?: string }
        if (error) throw new Error(error)
        return (typeof text === 'string' ? JSON.parse(text) : undefined) as Awaited<Result>
      },
    }
  }

  return {
    version: session.capabilities.browserVersion,
    async newTab(): Promise<Tab> {
      const handle = await inTurn(async () => {
        // Without a tab that is open, there is no browser to open one in.
        await send('POST', `${root}/window`, { handle: initial })
        return send('POST', `${root}/window/new`, { type: 'window' })
      })
      return tab((handle as { handle: string }).handle)
    },
    end: () => send('DELETE', root),
  }
}
