/** One line for what an operator can mend; the error with its stack only for what looks like a fault of ours. */
export function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ReferenceError) return error
  const code = 'code' in error ? String(error.code) : ''
  if (error instanceof TypeError && !code.startsWith('ERR_PARSE_ARGS')) return error
  // Prisma quotes our source before it says what is wrong.
  const message = error.message.replace(/^\nInvalid `.*\n/s, '')
  // A refused connection to a name with two addresses arrives without a message.
  return message || code || error.name
}
