// For `node --import`: runs the TypeScript that `npm test` has compiled. Plain JavaScript, as nothing compiles it.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const dir = new URL(import.meta.url).searchParams.get('dir')
const packages = JSON.parse(readFileSync(join(dir, 'packages.json'), 'utf8'))
register('./hooks.mjs', {
  parentURL: import.meta.url,
  data: {
    dir,
    root: new URL('../../..', import.meta.url).href,
    packages,
    compiled: pathToFileURL(`${dir}/`).href,
  },
})
