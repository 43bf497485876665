import { readFileSync } from 'node:fs'

/** The version of this package, whose manifest is two levels above both `src/platform` and `dist/platform`. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version
