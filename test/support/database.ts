import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { openDatabase } from '../../src/platform/database.ts'

export interface TestDatabase {
  url: string
  drop(): Promise<void>
}

/** A migrated database for one test: a copy of the template that `npm test` created. */
export function createTestDatabase(): Promise<TestDatabase> {
  return createDatabase(required('TEST_TEMPLATE'))
}

/** The same, opened, until the test ends. */
export async function openTestDatabase(t: { teardown(end: () => Promise<void>): void }) {
  const { url, drop } = await createTestDatabase()
  const { close, ...opened } = openDatabase({ url })
  t.teardown(async () => {
    await close()
    await drop()
  })
  return { url, ...opened }
}

/** A copy of a database that nothing is connected to: a backup of it. */
export const copyDatabase = (url: string): Promise<TestDatabase> =>
  createDatabase(new URL(url).pathname.slice(1))

/** A database without any table. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase('template0')
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const name = `ratchet_test_${randomUUID().replaceAll('-', '')}`
  await administer(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  const url = new URL(required('TEST_DATABASE_URL'))
  url.pathname = `/${name}`
  return { url: url.href, drop: () => administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

async function administer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: required('TEST_DATABASE_URL') })
  await client.connect()
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await client.query(sql)
        return
      } catch (error) {
        // "is being accessed by other users": another worker is copying the template.
        if ((error as { code?: string }).code !== '55006' || attempt === 50) throw error
        await sleep(20 + Math.random() * 80)
      }
    }
  } finally {
    await client.end()
  }
}

function required(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run the tests with "npm test", also a single file`)
  return value
}
