// `npm run build --workspace packages/client`: the modules that are published, and their types.
import { execFileSync } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const folder = fileURLToPath(new URL('.', import.meta.url))
await rm(`${folder}dist`, { recursive: true, force: true })
const { exports } = JSON.parse(await readFile(`${folder}package.json`, 'utf8'))
// What the package exports: `./dist/index.js` is made of `src/index.ts`.
const entryPoints = Object.values(exports).map((each) =>
  each.default.replace('./dist/', '').replace(/js$/, 'ts'),
)
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
