import Mustache from 'mustache'

/** Fills in a text, which is a Mustache template. The result is plain text on one line: what it is put into escapes it. */
export function fill(text: string, view: object): string {
  return Mustache.render(text, view, {}, { escape: String }).replace(/\s+/g, ' ').trim()
}

/** @throws for a text that Mustache cannot read, or with a variable that is not known. */
export function requireVariables(texts: readonly string[], known: readonly string[]): void {
  for (const text of texts) {
    if (text.trim() === '') throw new Error('the text is empty')
    // `Mustache.parse` would keep what it makes of texts that nobody may ever see.
    const tokens = text.includes('{{') ? new Mustache.Writer().parse(text) : []
    const unknown = namesIn(tokens).find((name) => !known.includes(name))
    if (unknown) throw new Error(`there is no {{${unknown}}} here, only ${known.join(', ') || 'plain text'}`)
  }
}

/** The variables of a parsed text, those of its sections included. */
function namesIn(tokens: readonly unknown[]): string[] {
  return (tokens as [kind: string, name: string, from: number, to: number, inner?: unknown[]][]).flatMap(
    ([kind, name, , , inner]) =>
      kind === 'text' ? [] : [name, ...(Array.isArray(inner) ? namesIn(inner) : [])],
  )
}
