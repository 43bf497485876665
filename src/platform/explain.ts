/** One line for an error that an operator can fix; the whole error for what looks like a bug. */
export function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ReferenceError) return error
  const code = 'code' in error ? String(error.code) : ''
  // The whole error would show the URL, and with it a password.
  if (code === 'ERR_INVALID_URL') return error.message
  if (error instanceof TypeError && !code.startsWith('ERR_PARSE_ARGS')) return error
  // Prisma's message begins with an excerpt of our source code.
  const message = error.message.replace(/^\nInvalid `.*\n/s, '')
  // The error has no message when a host name has two addresses and both refuse.
  return message || code || error.name
}
