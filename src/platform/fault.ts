// Of Node, Postgres and Prisma.
const CODE = /^[A-Z0-9][A-Z0-9_]{1,40}$/
// Of our own problems.
const PROBLEM_CODE = /^[a-z]+(_[a-z]+)*$/
// Redis's replies begin with a code: `READONLY You can't write against a read only replica.`
const REPLY = /^([A-Z]{2,20}) /
// Names of errors whose messages are our own, and those of the language, which say that this server has a fault.
const OURS = new Set([
  'Error',
  'ReadOnly',
  'DatabaseUnusable',
  'DatabaseMisconfigured',
  'MigrationError',
  'Overloaded',
  'SecretsCommandFault',
])
const OF_THE_LANGUAGE = new Set(['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'])
const REFUSED_COMMAND = /\b(?:the|command),? ['`]([A-Za-z|]{2,20})['`]/

/** What Prisma's codes for connections and transactions mean; its other codes say what to search for. */
const PRISMA_CODES: Readonly<Record<string, string>> = {
  P1000: 'authentication_failed',
  P1001: 'not_connected',
  P1002: 'timeout',
  P1008: 'timeout',
  P1017: 'connection_closed',
  P2024: 'timeout',
  P2028: 'timeout',
  P2034: 'deadlock',
}

/** What the classes of ioredis and Prisma mean, where they have neither a code nor a cause. */
const CLASSES: Readonly<Record<string, string>> = {
  // A connection was lost with commands in flight, which are not sent again.
  MaxRetriesPerRequestError: 'connection_closed',
  AbortError: 'connection_closed',
  InterruptError: 'connection_closed',
  ClusterAllFailedError: 'not_connected',
  ParserError: 'protocol_error',
  ReplyError: 'refused',
  PrismaClientInitializationError: 'not_connected',
  PrismaClientKnownRequestError: 'unexpected_answer',
  PrismaClientUnknownRequestError: 'unexpected_answer',
  PrismaClientValidationError: 'internal_error',
  PrismaClientRustPanicError: 'internal_error',
}

/** What `pg` and ioredis say without a code. */
const SAID: readonly [pattern: RegExp, fault: string][] = [
  [/sentinels are unreachable/i, 'sentinels_unreachable'],
  [/too many cluster redirections/i, 'too_many_redirections'],
  [/\bSASL\b/, 'authentication_failed'],
  [/does not support SSL/i, 'tls_not_supported'],
  [/establishing an SSL connection/i, 'tls_failed'],
  [
    /protocol error|command queue state|unknown RESP type|received unexpected|unknown authenticationOk/i,
    'protocol_error',
  ],
  [/time(d )?out|timeout exceeded|timeout expired|no answer/i, 'timeout'],
  [
    /connection (is closed|was closed|terminated|ended)|terminating connection|socket closed|after calling end/i,
    'connection_closed',
  ],
  [
    /isn't writeable|not queryable|cluster isn't ready|is disconnect(ed|ing)|startup nodes|no master node/i,
    'not_connected',
  ],
]

/** The code of a reply and, where the server names what it refuses, that command: `NOPERM hmget`. */
function replyOf({ message }: Error): string | undefined {
  const [, code] = REPLY.exec(message) ?? []
  const unnamed = /\bscript\b/i.test(message) ? 'script' : /\bDB index\b/.test(message) ? 'select' : ''
  const [, command = unnamed] = REFUSED_COMMAND.exec(message) ?? []
  return code && [code, command.toLowerCase()].filter(Boolean).join(' ')
}

/**
 * Why something failed, in a word or two: a code of the system, of Postgres or of Redis to search for, or plain words. What
 * libraries say, and what they call their errors, is not logged: it changes with their versions and may quote data. Our
 * own errors say it in a sentence.
 */
export function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if (error instanceof AggregateError && error.errors.length > 0) return faultOf(error.errors[0])
  if (error.name === 'StoreUnavailable') return error.cause ? faultOf(error.cause) : error.message
  const { code, errorCode, lastNodeError, name, message } = error as LibraryError
  if (lastNodeError) return faultOf(lastNodeError)
  const fault = causeOf(error) ?? codeOf(code) ?? codeOf(errorCode)
  if (fault) return fault
  if (name === 'Problem' && typeof code === 'string' && PROBLEM_CODE.test(code)) return code
  const reply = name === 'ReplyError' ? replyOf(error) : undefined
  const [, said] = (name !== 'ReplyError' && SAID.find(([pattern]) => pattern.test(message))) || []
  if (reply ?? said) return (reply ?? said) as string
  if (OURS.has(name)) return message
  return CLASSES[name] ?? (OF_THE_LANGUAGE.has(name) ? name : 'unexpected_error')
}

interface LibraryError extends Error {
  code?: unknown
  /** Of Prisma, where it could not connect. */
  errorCode?: unknown
  /** Of a cluster. */
  lastNodeError?: unknown
  meta?: { driverAdapterError?: Error }
}

/** What Prisma's adapter found: the server's code, or a kind of its own such as `ConnectionClosed`. */
function causeOf({ meta, cause }: LibraryError): string | undefined {
  const { originalCode, kind } = (meta?.driverAdapterError?.cause ?? cause ?? {}) as Record<string, unknown>
  const found = codeOf(originalCode)
  if (found || typeof kind !== 'string' || kind === 'postgres' || !/^([A-Z][a-z]+)+$/.test(kind)) return found
  return kind.replace(/(?!^)[A-Z]/g, '_$&').toLowerCase()
}

function codeOf(code: unknown): string | undefined {
  return typeof code === 'string' && CODE.test(code) ? (PRISMA_CODES[code] ?? code) : undefined
}
