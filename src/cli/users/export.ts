import { open, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { loadOwnConfig } from '../../config.ts'
import { readFactorSecrets } from '../../core/factors/factors.ts'
import { pageOfUsers, readMetadata } from '../../core/users/users.ts'
import { requireMigrations } from '../../platform/migrations.ts'
import { createSecrets, type Secrets } from '../../platform/secrets.ts'
import { toLine } from './account-line.ts'
import { type AdminContext, openAdminContext } from './admin-context.ts'

const PAGE = 500

/**
 * Writes every account as one JSON object per line, with password hashes and the secrets of factors, in the order of
 * the ids. A file is created for its owner alone, and must not exist.
 */
export async function exportUsers(output: string | undefined): Promise<void> {
  const config = await loadOwnConfig()
  await requireMigrations(config.database)
  const context = openAdminContext(config.database)
  try {
    const event = { type: 'accounts_export', outcome: 'success', actor: context.actor } as const
    await context.events.record(context.db, event, context.requestContext)
    const chunks = pagesOf(context, createSecrets(config.appSecrets))
    await (output === undefined ? print(chunks) : writeTo(output, chunks))
  } finally {
    await context.close()
  }
}

/** A reader that has enough, such as `head`, is no failure. */
async function print(chunks: AsyncIterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks), process.stdout, { end: false })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EPIPE') throw error
  }
}

/** A part of the accounts must not pass for all of them, so it is deleted after a failure. */
async function writeTo(path: string, chunks: AsyncIterable<string>): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await pipeline(Readable.from(chunks), file.createWriteStream({ flush: true }))
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

async function* pagesOf(context: AdminContext, secrets: Secrets): AsyncGenerator<string> {
  const { db } = context
  let count = 0
  for (let after: string | undefined; ; ) {
    const users = await pageOfUsers(db, after, PAGE)
    const ids = users.map(({ id }) => id)
    const factors = await readFactorSecrets(db, secrets, ids)
    const metadata = await readMetadata(db, ids)
    yield users
      .map((user) => `${JSON.stringify(toLine(user, factors.get(user.id), metadata.get(user.id)))}\n`)
      .join('')
    count += users.length
    after = ids.at(-1)
    if (users.length < PAGE) break
  }
  console.error(`${count} accounts exported`)
}
