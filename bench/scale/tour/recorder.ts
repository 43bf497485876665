import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, createCaller } from '../../../test/support/caller.ts'
import type { Size } from '../size.ts'

export interface Called {
  method: string
  path: string
}

interface CallOptions {
  body?: object
  bearer?: string
  /** Sent as a page of the server itself sends it. */
  cookie?: string
  /** Whether an answer of another class than 2xx is wanted. */
  refused?: boolean
}

export type Recorder = ReturnType<typeof createRecorder>

const MAIL_TRIES = 50
const MAIL_WAIT_MS = 200

/** Calls a server and remembers what was called. */
export function createRecorder({ app, env }: Pick<Size, 'app' | 'env'>) {
  const called: Called[] = []
  const caller = createCaller(app.url, (method, path) =>
    called.push({ method, path: new URL(path, 'http://_').pathname }),
  )

  /** @returns the JSON, or else the text. @throws when the answer is of another class than wanted. */
  async function call(
    method: string,
    path: string,
    { body, bearer, cookie, refused }: CallOptions = {},
  ): Promise<Answer['body']> {
    const answer = await caller.call(method, path, {
      ...(body ? { body } : {}),
      ...(bearer ? { bearer } : {}),
      ...(cookie ? { headers: { cookie, 'sec-fetch-site': 'same-origin' } } : {}),
    })
    return expect(answer, refused ? [300, 600] : [200, 300], `${method} ${path}`)
  }
  const get = (path: string, bearer?: string) => call('GET', path, bearer ? { bearer } : {})
  const post = (path: string, body: object, bearer?: string) =>
    call('POST', path, { body, ...(bearer ? { bearer } : {}) })

  /** The token of the newest mail to an address whose text matches. */
  async function mailed(address: string, about: RegExp): Promise<string> {
    const folder = env.INBOX_DIR as string
    for (let tries = 0; tries < MAIL_TRIES; tries++) {
      const files = await readdir(folder).catch(() => [])
      const texts = await Promise.all(
        files.map((file) => readFile(join(folder, file), 'utf8').catch(() => '')),
      )
      const mails = texts.flatMap((text) => (text.includes(address) ? [JSON.parse(text)] : []))
      const found = mails
        .filter(({ to, text }) => to === address && about.test(text))
        .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
        .at(-1)
      const token = found && new RegExp(`${about.source}\\?token=([\\w-]+)`).exec(found.text)?.[1]
      if (token) return token
      await sleep(MAIL_WAIT_MS)
    }
    throw new Error(`no mail to ${address} with ${about.source}`)
  }

  return { called, caller, call, get, post, mailed }
}

/** What an answer holds. @throws unless its status is at least the first and less than the second number. */
export function expect(
  { status, body, text }: Answer,
  [from, to]: readonly [number, number],
  what: string,
): Answer['body'] {
  if (status < from || status >= to) throw new Error(`${what} answered ${status}: ${text}`)
  return body ?? text
}
