interface Operation {
  responses: Record<
    string,
    { content?: Record<string, { schema: { allOf?: { properties?: { code?: { enum: string[] } } }[] } }> }
  >
}

/** Reads from `/openapi.json` with which problems calls can be refused. */
export function documentedProblems(document: object) {
  const paths = Object.entries((document as { paths: Record<string, Record<string, Operation>> }).paths)
  // Fixed paths first: `/auth/passkeys/options` does not match `/auth/passkeys/{id}`.
  const known = paths
    .sort(([a], [b]) => Number(a.includes('{')) - Number(b.includes('{')))
    .map(([path, methods]) => ({ pattern: new RegExp(`^${path.replace(/{[^}]+}/g, '[^/]+')}$`), methods }))

  /** @throws for a problem that the documentation of the call does not name. */
  return (method: string, url: string, answer: { status: number; body?: { code?: string } }): void => {
    const path = url.split('?')[0] as string
    const operation = known.find(({ pattern }) => pattern.test(path))?.methods[method.toLowerCase()]
    const code = answer.body?.code
    if (!operation || code === undefined) return
    const content = operation.responses[answer.status]?.content?.['application/problem+json']
    const codes = content?.schema.allOf?.flatMap(({ properties }) => properties?.code?.enum ?? []) ?? []
    if (!codes.includes(code)) throw new Error(`${method} ${path} does not document ${answer.status} ${code}`)
  }
}
