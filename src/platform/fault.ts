// Of Node, Postgres and Prisma; also the kinds of failure that Prisma's adapter tells apart, such as `ConnectionClosed`.
const CODE = /^[A-Z0-9][A-Za-z0-9_]{1,40}$/
// Redis's replies begin with a code: `READONLY You can't write against a read only replica.`
const REPLY = /^([A-Z]{2,20}) /
// Names of errors whose messages are our own.
const OURS = new Set(['Error', 'ReadOnly'])
const REFUSED_COMMAND = /\b(?:the|command),? ['`]([A-Za-z|]{2,20})['`]/
/** What `pg` and ioredis say without a code. */
const SAID: readonly [pattern: RegExp, fault: string][] = [
  [/time(d )?out|timeout exceeded|no answer/i, 'timeout'],
  [
    /connection (is closed|was closed|terminated|ended)|terminating connection|socket closed/i,
    'connection_closed',
  ],
  [/isn't writeable|not queryable/i, 'not_connected'],
]

/** The code of a reply and, where the server names what it refuses, that command: `NOPERM hmget`. */
function replyOf({ message, name }: Error): string {
  const [, code] = REPLY.exec(message) ?? []
  const [, command = /\bscript\b/i.test(message) ? 'script' : ''] = REFUSED_COMMAND.exec(message) ?? []
  return code ? [code, command.toLowerCase()].filter(Boolean).join(' ') : name
}

/**
 * Why something failed, in a word or two to search for: a code of the system, of Postgres or of Redis. What libraries say is
 * not logged: it changes with their versions and may quote data. Our own errors say it in a sentence.
 */
export function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if (error instanceof AggregateError && error.errors.length > 0) return faultOf(error.errors[0])
  if (error.name === 'StoreUnavailable') return error.cause ? faultOf(error.cause) : error.message
  const { code, meta, cause } = error as Error & { code?: unknown; meta?: { driverAdapterError?: Error } }
  const { originalCode, kind } = (meta?.driverAdapterError?.cause ?? cause ?? {}) as Record<string, unknown>
  for (const each of [originalCode, kind === 'postgres' ? undefined : kind, code]) {
    if (typeof each === 'string' && CODE.test(each)) return each
  }
  if (error.name === 'ReplyError') return replyOf(error)
  const [, said] = SAID.find(([pattern]) => pattern.test(error.message)) ?? []
  return said ?? (OURS.has(error.name) ? error.message : error.name)
}
