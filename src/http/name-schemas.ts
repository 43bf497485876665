/** A part of an OpenAPI document: any JSON. */
type Json = null | boolean | number | string | readonly Json[] | { [name: string]: Json }
type JsonObject = { [name: string]: Json }

interface OpenApiDocument {
  paths?: Record<string, object>
  components?: { schemas?: object }
}

/**
 * Moves schemas of an OpenAPI document into its components, so that generated code has names for them: those with a
 * `title`, and otherwise bodies and responses, by the operation that has them.
 * @throws when two different schemas have the same title.
 */
export function nameSchemas(document: OpenApiDocument): void {
  const components = (document.components?.schemas ?? {}) as JsonObject
  for (const methods of Object.values(document.paths ?? {}) as JsonObject[]) {
    for (const [method, operation] of Object.entries(methods)) {
      const { requestBody = {}, responses = {}, ...rest } = operation as JsonObject
      const name = capitalized(String(rest.operationId))
      nameContent(requestBody as JsonObject, `${name}Request`)
      for (const response of Object.values(responses as JsonObject))
        nameContent(response as JsonObject, `${name}Response`)
      methods[method] = replaceTitled({ ...rest, requestBody, responses }) as JsonObject
      if (Object.keys(requestBody as JsonObject).length === 0)
        delete (methods[method] as JsonObject).requestBody
    }
  }

  /** Gives the schema of a JSON object a title. */
  function nameContent({ content = {} }: JsonObject, title: string): void {
    for (const media of Object.values(content as JsonObject) as JsonObject[]) {
      const schema = media.schema as JsonObject | undefined
      if (schema?.type === 'object' && schema.title === undefined) media.schema = { title, ...schema }
    }
  }

  function replaceTitled(node: Json): Json {
    if (Array.isArray(node)) return node.map(replaceTitled)
    if (typeof node !== 'object' || node === null) return node
    const copy = Object.fromEntries(
      Object.entries(node as JsonObject).map(([key, value]) => [
        key,
        // Data, not schemas: a problem has a title too.
        key === 'example' || key === 'examples' ? value : replaceTitled(value),
      ]),
    )
    const { title } = copy
    if (typeof title !== 'string') return copy
    const known = components[title]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(copy))
      throw new Error(`two schemas have the title ${title}`)
    components[title] = copy
    return { $ref: `#/components/schemas/${title}` }
  }
}

const capitalized = (name: string) => `${name[0]?.toUpperCase()}${name.slice(1)}`
