import { randomUUID } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import pg from 'pg'

/** The type id of Postgres's internal "char", which the catalogue uses a lot and the adapter does not know. */
const INTERNAL_CHAR = 18
const TEXT = 25

/** @prisma/adapter-pg with three gaps closed that keep the schema engine from using it. */
export class MigrationAdapter {
  provider = 'postgres'
  adapterName = '@prisma/adapter-pg'
  #url

  constructor(url) {
    this.#url = url
  }

  async connect() {
    return open(this.#url)
  }

  /** The original ignores the new database's name if it was given a URL, and would wipe the real database. */
  async connectToShadowDb() {
    const admin = new pg.Client({ connectionString: this.#url })
    await admin.connect()
    const name = `prisma_migrate_shadow_db_${randomUUID()}`
    await admin.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
    const url = new URL(this.#url)
    url.pathname = `/${name}`
    const adapter = await open(url.href)
    const dispose = adapter.dispose.bind(adapter)
    adapter.dispose = async () => {
      await dispose()
      await admin.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`)
      await admin.end()
    }
    return adapter
  }
}

async function open(url) {
  const schema = new URL(url).searchParams.get('schema')
  const factory = new PrismaPg({ connectionString: url, max: 1 }, schema ? { schema } : undefined)
  const adapter = await factory.connect()
  runScriptsWhole(adapter)
  readInternalChars(adapter)
  return adapter
}

/** The original splits a script at every semicolon, even inside the body of a function. */
function runScriptsWhole(adapter) {
  const pool = adapter.underlyingDriver()
  adapter.executeScript = async (script) => {
    try {
      await pool.query(script)
    } catch (error) {
      adapter.onError(error)
    }
  }
}

function readInternalChars(adapter) {
  const perform = adapter.performIO.bind(adapter)
  const { queryRaw } = Object.getPrototypeOf(adapter)
  adapter.queryRaw = async (query) => {
    let chars = []
    // Presented to the original as text, which it can read, and given its real type afterwards.
    const performIO = async (request) => {
      const result = await perform(request)
      chars = (result?.fields ?? []).map((field) => field.dataTypeID === INTERNAL_CHAR)
      for (const field of result?.fields ?? [])
        if (field.dataTypeID === INTERNAL_CHAR) field.dataTypeID = TEXT
      return result
    }
    const set = await queryRaw.call(Object.create(adapter, { performIO: { value: performIO } }), query)
    set.columnTypes = set.columnTypes.map((type, i) => (chars[i] ? ColumnTypeEnum.Character : type))
    return set
  }
}
