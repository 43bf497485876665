import type { FastifyRequest } from 'fastify'

/**
 * Whether a person's browser sent the request, so that the answer has to be a page, whatever it says: a navigation,
 * which prefers HTML to JSON (RFC 9110 §12.5.1), or a form. A call with an access token or a JSON body is an app's.
 */
export function wantsPage({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const contentType = headers['content-type'] ?? ''
  if (headers.authorization !== undefined || isType(contentType, 'application/json')) return false
  const isForm = isType(contentType, 'application/x-www-form-urlencoded')
  const accept = headers.accept ?? '*/*'
  // Most refusals answer apps, which say no more than `*/*`.
  if (!isForm && !/text\//i.test(accept)) return false
  const accepted = parseAccept(accept)
  const html = preferenceFor(accepted, 'text/html')
  const json = Math.max(...JSON_TYPES.map((type) => preferenceFor(accepted, type)))
  return isForm ? html >= json : html > json
}

const JSON_TYPES = ['application/json', 'application/problem+json']

/** Media types ignore case (RFC 9110 §8.3.1). */
const isType = (header: string, type: string) => header.split(';')[0]?.trim().toLowerCase() === type

/** The quality of each media range, from 0 to 1000. */
function parseAccept(accept: string): Map<string, number> {
  const ranges = accept.split(',').map((item): [string, number] => {
    const [range = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    return [range, quality === undefined ? 1000 : qualityOf(quality.slice(2))]
  })
  return new Map(ranges)
}

const qualityOf = (text: string) =>
  /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) * 1000 : 0

/** How much a client wants a media type: by its quality, then by how exactly the client has named it. */
function preferenceFor(accepted: ReadonlyMap<string, number>, type: string): number {
  const ranges = ['*/*', `${type.split('/')[0]}/*`, type]
  const exactness = ranges.findLastIndex((range) => accepted.has(range))
  const quality = accepted.get(ranges[exactness] ?? '') ?? 0
  return quality === 0 ? 0 : quality * ranges.length + exactness
}
