import pg from 'pg'

/** What one statement cost Postgres since the last reset. */
export interface Statement {
  text: string
  calls: number
  /** Milliseconds of planning and execution, for all calls. */
  ms: number
  /** Pages of 8 kB read from the buffer or from disk, for all calls. */
  blocks: number
  /** Rows returned or changed, and bytes of write-ahead log, for all calls. */
  rows: number
  walBytes: number
}

export interface TableCounters {
  table: string
  rows: number
  seqScans: number
  updates: number
  hotUpdates: number
}

/** Postgres's own counters of one database. */
export interface Statistics {
  client: pg.Client
  reset(): Promise<void>
  statements(): Promise<Statement[]>
  /** Backends report what they counted when they end, or within seconds: read it after the server has stopped. */
  tables(): Promise<TableCounters[]>
  close(): Promise<void>
}

// Own queries carry this mark, so that they are not counted.
const OWN = '/* bench */'

export async function openStatistics(url: string): Promise<Statistics> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
  return {
    client,
    async reset() {
      await client.query(
        `SELECT ${OWN} pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()`,
      )
    },
    async statements() {
      const { rows } = await client.query(
        `SELECT ${OWN} query AS text, calls::float8, total_plan_time + total_exec_time AS ms,
           (shared_blks_hit + shared_blks_read)::float8 AS blocks, rows::float8, wal_bytes::float8 AS "walBytes"
         FROM pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND query NOT LIKE '%${OWN}%' AND toplevel
         ORDER BY ms DESC`,
      )
      return rows.map((row) => ({ ...row, text: row.text.replace(/\s+/g, ' ').trim() }))
    },
    async tables() {
      const { rows } = await client.query(
        `SELECT ${OWN} s.relname AS table, c.reltuples::float8 AS rows, seq_scan::float8 AS "seqScans",
           n_tup_upd::float8 AS updates, n_tup_hot_upd::float8 AS "hotUpdates"
         FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid ORDER BY 2 DESC`,
      )
      return rows
    },
    close: () => client.end(),
  }
}
