#!/usr/bin/env node
// Replaces the native schema engine that `prisma migrate` downloads, so that migrations can be written offline: the
// same JSON-RPC over standard input and output, answered by the WebAssembly build from npm.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import * as wasm from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'
import { MigrationAdapter } from './adapter.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    datamodels: { type: 'string', multiple: true, default: [] },
    datasource: { type: 'string', default: '{}' },
    'enabled-preview-features': { type: 'string' },
    'extension-types': { type: 'string' },
    version: { type: 'boolean' },
  },
})
const url = JSON.parse(values.datasource).url ?? 'postgresql://localhost/none'
const commands = { 'can-connect-to-database': checkConnection, 'create-database': () => createDatabase(url) }

if (values.version) console.log('schema-engine-cli wasm')
else if (positionals[0] === 'cli') await runCommand(commands[positionals[1]])
else serve()

async function runCommand(command) {
  try {
    await command()
  } catch (error) {
    const fields = { message: error.message, error_code: prismaCode(error), is_panic: false }
    const entry = {
      timestamp: new Date().toISOString(),
      level: 'ERROR',
      fields,
      target: 'schema_engine::logger',
    }
    process.stderr.write(`\n${JSON.stringify(entry)}\n`)
    process.exitCode = 1
  }
}

function prismaCode({ code }) {
  if (code === '3D000') return 'P1003'
  if (code === '28P01' || code === '28000') return 'P1000'
  if (code === '42P04') return 'P1009'
  return code === '42501' ? 'P1010' : 'P1001'
}

async function checkConnection() {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  await client.connect()
  await client.end()
}

async function createDatabase(target) {
  const server = new URL(target)
  const databaseName = decodeURIComponent(server.pathname.slice(1))
  server.pathname = '/postgres'
  const client = new pg.Client({ connectionString: server.href })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(databaseName)}`)
  } finally {
    await client.end()
  }
  return { databaseName }
}

function serve() {
  const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  let engine
  let last = Promise.resolve()
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const request = JSON.parse(line)
    if (request.method) last = last.then(() => answer(request))
  })
  lines.on('close', () => last.then(() => process.exit()))

  async function answer({ id, method, params }) {
    try {
      if (method === 'createDatabase')
        return send({ id, result: await createDatabase(params?.datasource?.url ?? url) })
      engine ??= await loadEngine()
      const result = await call(engine, method, params)
      if (method === 'diff' && result.stdout != null) {
        send({ id: `print-${id}`, method: 'print', params: { content: result.stdout.replace(/\n$/, '') } })
        result.stdout = null
      }
      send({ id, result })
    } catch (error) {
      const data = {
        is_panic: error.name === 'RuntimeError',
        message: error.message,
        error_code: error.code ?? '',
        meta: null,
      }
      send({
        id,
        error: { code: 4466, message: 'An error happened. Check the data field for details.', data },
      })
    }
  }
}

async function call(engine, method, params) {
  if (method === 'getDatabaseVersion') return engine.version(null)
  if (method === 'getDatabaseDescription') return 'PostgreSQL'
  return (await engine[method](params)) ?? {}
}

async function loadEngine() {
  globalThis.PRISMA_WASM_PANIC_REGISTRY ??= {
    message: '',
    get() {
      return this.message
    },
    set_message(message) {
      this.message = `RuntimeError: ${message}`
    },
  }
  const file = fileURLToPath(
    new URL('schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm')),
  )
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { './schema_engine_bg.js': wasm })
  wasm.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start?.()
  const datamodels = values.datamodels.map((path) => [path, readFileSync(path, 'utf8')])
  const factory = bindMigrationAwareSqlAdapterFactory(new MigrationAdapter(url))
  return wasm.SchemaEngine.new(
    { datamodels: datamodels.length > 0 ? datamodels : undefined },
    () => {},
    factory,
  )
}
