import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../platform/clock.ts'
import type { Mail, Mailer } from './mailer.ts'

/** A mail as the development inbox keeps it. */
export interface InboxMail extends Mail {
  /** When it arrived, ISO 8601. */
  at: string
}

export interface InboxMailer extends Mailer {
  /** The stored mails, newest first. */
  list(): Promise<InboxMail[]>
  /** Deletes the stored mails. */
  clear(): Promise<void>
}

export interface InboxOptions {
  dir: string
  /** The number of mails to keep; older ones are deleted. */
  keep?: number | undefined
  clock?: Clock | undefined
}

/** Writes mails as JSON files to a directory, for development: they survive a restart and need no provider. */
export function createInboxMailer({ dir, keep = 100, clock = systemClock }: InboxOptions): InboxMailer {
  async function list(): Promise<InboxMail[]> {
    const names = await readdir(dir).catch(() => [])
    const read = names.filter((name) => name.endsWith('.json')).map((name) => readMail(join(dir, name)))
    const mails = (await Promise.all(read)).filter((mail) => mail !== null)
    return mails.sort((a, b) => compare(b.at, a.at) || compare(b.id, a.id))
  }

  return {
    name: 'inbox',
    list,
    async clear() {
      await Promise.all((await list()).map(({ id }) => rm(join(dir, `${id}.json`), { force: true })))
    },

    async send({ id, to, subject, text, html }) {
      if (!/^[\w-]{1,100}$/.test(id)) throw new Error('a mail id must be usable as a file name')
      await mkdir(dir, { recursive: true, mode: 0o700 })
      const file = join(dir, `${id}.json`)
      if (await exists(file)) return
      const mail: InboxMail = { id, at: new Date(clock.now()).toISOString(), to, subject, text, html }
      // Renamed into place, so that a reader never finds half a mail. Mode 0600, because its links are credentials.
      await writeFile(`${file}.part`, JSON.stringify(mail, null, 2), { mode: 0o600 })
      await rename(`${file}.part`, file)
      const surplus = (await list()).slice(keep)
      await Promise.all(surplus.map((old) => rm(join(dir, `${old.id}.json`), { force: true })))
    },
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  )

/** Null for a file that has been deleted or is not a mail. */
async function readMail(file: string): Promise<InboxMail | null> {
  try {
    const mail = JSON.parse(await readFile(file, 'utf8'))
    const fields = [mail.id, mail.at, mail.to, mail.subject, mail.text, mail.html]
    return fields.every((field) => typeof field === 'string') ? mail : null
  } catch {
    return null
  }
}
