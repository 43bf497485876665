// `npm run build --workspace packages/client`: the modules that are published, and their types.
import { execFileSync } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const folder = fileURLToPath(new URL('.', import.meta.url))
await rm(`${folder}dist`, { recursive: true, force: true })
const entryPoints = (await readdir(`${folder}src`)).filter((name) => ['index.ts', 'react.ts'].includes(name))
await build({
  absWorkingDir: `${folder}src`,
  entryPoints,
  outdir: `${folder}dist`,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  packages: 'external',
  logLevel: 'warning',
})
execFileSync('npx', ['tsc', '--project', 'tsconfig.build.json'], { cwd: folder, stdio: 'inherit' })
