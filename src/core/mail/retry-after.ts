/**
 * The time that an answer asks for before the next request, in milliseconds: `Retry-After` in seconds or as a date (RFC
 * 9110 §10.2.3), else `RateLimit-Reset` in seconds. Undefined if it asks for none.
 */
export function readRetryAfter(headers: Headers): number | undefined {
  const asked = headers.get('retry-after')
  return (
    readSeconds(asked) ?? readDate(asked, headers.get('date')) ?? readSeconds(headers.get('ratelimit-reset'))
  )
}

function readSeconds(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}(?:\.\d{1,3})?$/.test(text.trim()) ? Number(text) * 1000 : undefined
}

/** The clock of the answer counts, if it is known: it may differ from this machine's. */
function readDate(text: string | null, sentAt: string | null): number | undefined {
  const until = Date.parse(text ?? '')
  if (Number.isNaN(until)) return
  const from = Date.parse(sentAt ?? '')
  return Math.max(0, until - (Number.isNaN(from) ? Date.now() : from))
}
