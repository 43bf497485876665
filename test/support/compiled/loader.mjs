// For `node --import`: runs the TypeScript that `npm test` has compiled. Plain JavaScript, as nothing compiles it.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'

// A test process is too short to earn back what the optimizing compilers cost it: a third of its time.
const flags = ['--liftoff-only', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering']
// From Node 22 on code has to run more often before it is optimized, and this is unknown.
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
