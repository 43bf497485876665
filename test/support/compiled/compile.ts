import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const FOLDERS = ['src', 'test', 'prisma', 'packages']
// Packages of many ECMAScript modules: 800 of the 1,200 modules that a server would load one by one.
const PACKAGES = ['typebox', '@simplewebauthn/server', 'jose', 'hibp']

export interface Compiled {
  /** For node's `--import`: the process then runs the compiled TypeScript. */
  loader: string
  remove(): Promise<void>
}

/** Compiles the source and the tests once; otherwise each process would spend half its time on that. */
export async function compile(): Promise<Compiled> {
  const dir = await mkdtemp(join(tmpdir(), 'ratchet-compiled-'))
  await Promise.all([compileSource(dir), bundlePackages(dir)])
  const loader = new URL('loader.mjs', import.meta.url)
  loader.searchParams.set('dir', dir)
  return { loader: loader.href, remove: () => rm(dir, { recursive: true, force: true }) }
}

async function compileSource(dir: string): Promise<void> {
  const found = await Promise.all(
    FOLDERS.map(async (folder) =>
      (await readdir(join(ROOT, folder), { recursive: true })).map((name) => join(folder, name)),
    ),
  )
  // As if each were next to its source, because stack traces look for it there.
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: found.flat().filter((name) => name.endsWith('.ts')),
    outdir: ROOT,
    outbase: '.',
    write: false,
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'warning',
  })
  for (const { path, contents } of outputFiles) {
    const target = join(dir, relative(ROOT, path))
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, contents)
  }
}

/** One file for each name that a package exports, and shared files for code that several of them need. */
async function bundlePackages(dir: string): Promise<void> {
  const exported = await Promise.all(PACKAGES.map(exportsOf))
  const entryPoints = exported.flat().map((name) => ({ in: name, out: join('packages', name) }))
  const onlyThese: Plugin = {
    name: 'only-these-packages',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
        const chosen = PACKAGES.some((name) => path === name || path.startsWith(`${name}/`))
        return kind === 'entry-point' || chosen ? undefined : { path, external: true }
      }),
  }
  await build({
    absWorkingDir: ROOT,
    entryPoints,
    outdir: dir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    plugins: [onlyThese],
  })
  const names = entryPoints.map((entry) => [entry.in, `${entry.out}.mjs`])
  await writeFile(join(dir, 'packages.json'), JSON.stringify(Object.fromEntries(names)))
}

async function exportsOf(name: string): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
  return Object.keys(manifest.exports)
    .filter((path) => !path.includes('*') && !path.endsWith('.json'))
    .map((path) => join(name, path))
}
