import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'

// What is logged is chosen line by line; these paths are the net below that choice.
const REDACTED = [
  'authorization',
  'cookie',
  'password',
  'current_password',
  'new_password',
  'token',
  'refresh_token',
  'access_token',
  'link',
]

/** Structured logs, one JSON line each, without secrets. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const paths = REDACTED.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  const options = {
    level,
    redact: { paths, censor: '[redacted]' },
    serializers: {
      err: (error: Error) => {
        const { type, message, stack } = stdSerializers.err(error)
        const code = 'code' in error ? error.code : undefined
        return { type, message, stack, code }
      },
    },
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return destination ? pino(options, destination) : pino(options)
}
