import { requireVariables } from './text.ts'

/** The names of texts that are kept in one JSON file, each with the variables that it may have. */
export type Catalogue = Readonly<Record<string, readonly string[]>>
/** The texts of a catalogue in one language. */
export type Words<C extends Catalogue> = { readonly [Name in keyof C]: string }

/**
 * Reads the versions of a file; a text in a later one replaces the same text in an earlier one.
 * @throws {Error} for a text that is missing, not in the catalogue, or has an unknown variable.
 */
export function parseCatalogue<C extends Catalogue>(catalogue: C, versions: readonly string[]): Words<C> {
  const texts: Record<string, unknown> = Object.assign({}, ...versions.map(parseObject))
  const unknown = Object.keys(texts).filter((name) => !Object.hasOwn(catalogue, name))
  if (unknown.length > 0) throw new Error(`there is no text called ${unknown.join(', ')}`)
  for (const [name, variables] of Object.entries(catalogue)) {
    const text = texts[name]
    if (typeof text !== 'string') throw new Error(`there is no text for ${name}`)
    try {
      requireVariables([text], variables)
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`)
    }
  }
  return texts as Words<C>
}

function parseObject(json: string): object {
  const value: unknown = JSON.parse(json)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('has to be an object')
  return value
}
