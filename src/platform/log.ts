import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { openLogSink } from './log-sink.ts'

/** What a module needs of a log: structured fields, then a sentence. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

// A second line of defence: each call chooses what it logs, and these fields are redacted at any depth.
const SECRET = new Set([
  'authorization',
  'cookie',
  'password',
  'current_password',
  'new_password',
  'token',
  'refresh_token',
  'access_token',
  'link',
  'recovery_code',
  'recovery_codes',
  'mfa_token',
  'device_token',
  'challenge_token',
  'credential',
  'secret',
])
const MAX_DEPTH = 6

export interface LogOptions {
  level: string
  /** Standard output by default. */
  destination?: DestinationStream | undefined
  /** Counts the lines that standard output does not take. */
  metrics: { countDropped(queue: string): void }
}

const STANDARD_OUTPUT = 1

/** Structured logs, one JSON line each, without secrets. */
export function createLog({ level, destination, metrics }: LogOptions): Logger {
  const options = {
    level,
    serializers: {
      err: (error: Error) => {
        const { type, message, stack } = stdSerializers.err(error)
        const code = 'code' in error ? error.code : undefined
        return { type, message, stack, code }
      },
    },
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: Record<string, unknown>) => redacted(fields) as Record<string, unknown>,
      bindings: (fields: Record<string, unknown>) => redacted(fields) as Record<string, unknown>,
    },
  }
  const sink = () =>
    openLogSink({
      fd: STANDARD_OUTPUT,
      dropped: () => metrics.countDropped('log'),
      recovered: (lost) => log.error({ event: 'log_lines_lost', lost }, 'the log can be written again'),
    })
  const log: Logger = pino(options, destination ?? sink())
  return log
}

// pino's redaction with wildcards costs ten times the log line, and reaches only the depths it names.
function redacted(value: unknown, depth = 0): unknown {
  // Errors have their own serializer; dates and URLs have `toJSON`.
  if (value === null || typeof value !== 'object' || value instanceof Error || 'toJSON' in value) return value
  if (depth > MAX_DEPTH) return '[too deep]'
  if (Array.isArray(value)) return value.map((item) => redacted(item, depth + 1))
  const copy: Record<string, unknown> = {}
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name]
    copy[name] = SECRET.has(name) ? '[redacted]' : redacted(field, depth + 1)
  }
  return copy
}
