// The whole application, built as in `src/server.ts`.
import { Redis } from 'ioredis'
import pg from 'pg'
import { environment, loadConfig } from '../src/config.ts'
import type { Counted } from './child.ts'
import { serveParent } from './serve.ts'

// Measures the production code, which `npm run bench` builds first.
const { buildApp } = (await import(
  new URL('../dist/app.js', import.meta.url).href
)) as typeof import('../src/app.ts')

const app = await buildApp(loadConfig(environment()))
let stopCounting: (() => Counted) | undefined
await serveParent(app, (question) => {
  if (question.about === 'count') stopCounting = count()
  return question.about === 'counted' ? (stopCounting?.() ?? null) : null
})

// The poll of the background tasks, and the heartbeat.
const IDLE = /^(SELECT 1|SHOW )/

/** Counts in the drivers, which see every command; only on request, so that it does not slow the measurements. */
function count(): () => Counted {
  const counted: Counted = { redisRoundTrips: 0, statements: 0, polls: 0, flushes: 0 }
  const { query } = pg.Client.prototype
  const { sendCommand } = Redis.prototype
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [statement] = args as [string | { text: string }]
    const text = typeof statement === 'string' ? statement : statement.text
    if (IDLE.test(text)) counted.polls += 1
    else counted.statements += 1
    // The only statement that unpacks a batch of families.
    if (text.includes('"familyHash" bytea')) counted.flushes += 1
    return Reflect.apply(query, this, args)
  } as typeof query
  Redis.prototype.sendCommand = function (...args) {
    const [
      {
        name,
        args: [, , key],
      },
    ] = args
    const isBackground = name === 'xread' || String(key).startsWith('ratchet:heartbeat')
    if (!isBackground) counted.redisRoundTrips += 1
    return Reflect.apply(sendCommand, this, args)
  }
  return () => {
    pg.Client.prototype.query = query
    Redis.prototype.sendCommand = sendCommand
    return counted
  }
}
