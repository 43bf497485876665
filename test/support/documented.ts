import Schema from 'typebox/schema'

type JsonSchema = object & { $ref?: string; allOf?: { properties?: { code?: { enum: string[] } } }[] }

export interface Media {
  schema: JsonSchema
  example?: unknown
  /** Of problems, by their codes. */
  examples?: Record<string, { value: Record<string, unknown> }>
}

export interface Operation {
  operationId: string
  tags: string[]
  security: Record<string, string[]>[]
  parameters?: { in: string; name: string; schema: JsonSchema }[]
  requestBody?: { required: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

export interface OpenApi {
  info: { description: string }
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, JsonSchema>; securitySchemes: Record<string, object> }
}

/** Every call of a document. */
export const operationsOf = ({ paths }: OpenApi) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      ...operation,
    })),
  )

/** What is wrong with a value by a schema of a document; empty if nothing is. */
export function createCheck({ components }: OpenApi): (schema: JsonSchema, value: unknown) => string[] {
  const compiled = new Map<JsonSchema, ReturnType<typeof Schema.Compile>>()
  return (schema, value) => {
    const validator = compiled.get(schema) ?? Schema.Compile({ ...schema, components })
    compiled.set(schema, validator)
    const [isValid, errors] = validator.Errors(value)
    return isValid ? [] : errors.map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
}

interface Answer {
  status: number
  headers: Headers
  body?: Record<string, unknown> | null
}

// Members that a problem has only where there is more to say.
const OPTIONAL = new Set(['detail', 'errors'])
const membersOf = (problem: object) =>
  Object.keys(problem)
    .filter((name) => !OPTIONAL.has(name))
    .sort()
    .join()

/** Compares answers with `/openapi.json`: refusals with the documented problems, successes with their schemas. */
export function documentedAnswers(document: object) {
  const openapi = document as OpenApi
  const faultsOf = createCheck(openapi)
  // Fixed paths first: `/auth/passkeys/options` does not match `/auth/passkeys/{id}`.
  const known = Object.entries(openapi.paths)
    .sort(([a], [b]) => Number(a.includes('{')) - Number(b.includes('{')))
    .map(([path, methods]) => ({ pattern: new RegExp(`^${path.replace(/{[^}]+}/g, '[^/]+')}$`), methods }))

  /** @throws for an answer that the documentation of the call does not describe. */
  return (method: string, url: string, { status, headers, body }: Answer): void => {
    const path = url.split('?')[0] as string
    const operation = known.find(({ pattern }) => pattern.test(path))?.methods[method.toLowerCase()]
    const code = body?.code
    const type = headers.get('content-type')?.split(';')[0] ?? ''
    if (!operation || (status >= 400 && (typeof code !== 'string' || type === 'text/html'))) return
    const name = `${method} ${path}: ${status} ${code ?? type}`
    const response = operation.responses[status]
    if (!response) throw new Error(`${name} is not documented`)
    const media = response.content?.[type]
    if (!media && type) throw new Error(`${name} is not documented as ${type}`)
    if (!media || body === undefined) return
    const faults = faultsOf(media.schema, body)
    if (faults.length > 0) throw new Error(`${name} differs from its schema: ${faults.join(', ')}`)
    if (typeof code !== 'string' || status < 400) return
    const example = media.examples?.[code]?.value ?? {}
    if (membersOf(example) !== membersOf(body as object))
      throw new Error(`${name} has other members than its example: ${membersOf(body as object)}`)
  }
}
