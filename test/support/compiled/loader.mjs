// For `node --import`: runs the TypeScript that `npm test` has compiled. This file itself is not compiled.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'

// A test process is too short to profit from the optimizing compilers, which take a third of its time.
const flags = ['--liftoff-only', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering']
// From Node 22 on, code is optimized only after more runs, and this flag does not exist.
if (process.version.startsWith('v20.')) flags.push('--interrupt-budget=1000000')
for (const flag of flags) setFlagsFromString(flag)

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
