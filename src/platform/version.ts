import { readFileSync } from 'node:fs'

/** Of this package; its manifest is two levels up from `src/platform` and from `dist/platform`. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version
