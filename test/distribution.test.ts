import { readdir, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SRC = join(ROOT, 'src')

/** Development dependencies that `build.ts` bundles, because no other production code imports them. */
const BUNDLED = [
  '@fastify/ajv-compiler',
  '@fastify/fast-json-stringify-compiler',
  '@fastify/type-provider-typebox',
  '@prisma/client',
  '@simplewebauthn/server',
  'fastify',
  'jose',
  'prom-client',
  'typebox',
]

const json = async (name: string) => JSON.parse(await readFile(join(ROOT, name), 'utf8'))

/** All files of src outside src/dev, including the generated client. */
async function distributed(): Promise<string[]> {
  const entries = await readdir(SRC, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(SRC, join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('dev/'))
}

/** What a file imports, re-exports or loads at run time, comments excluded. */
function specifiersOf(text: string): string[] {
  const code = text.replace(/^\s*(?:\/\/|\/?\*).*$/gm, '')
  const patterns = [
    /\bfrom\s*(['"])([^'"\s]+)\1/g,
    /^\s*import\s*(['"])([^'"\s]+)\1/gm,
    /\b(?:import|require|import\.meta\.resolve)\s*\(\s*(['"])([^'"\s]+)\1/g,
  ]
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[2] as string))
}

/** The package in a specifier: `pg`, `@prisma/client`. */
const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

t.test('distributed files import only Node, each other, dependencies and what is bundled', async (t) => {
  const { dependencies, devDependencies } = await json('package.json')
  const allowed = [...Object.keys(dependencies), ...BUNDLED]
  for (const name of BUNDLED) t.ok(name in devDependencies, `${name} need not be installed in production`)
  const files = await distributed()
  t.ok(files.length > 100)
  t.ok(files.some((file) => file.startsWith('platform/generated/')))
  const used = new Set<string>()
  for (const file of files) {
    for (const specifier of specifiersOf(await readFile(join(SRC, file), 'utf8'))) {
      if (specifier.startsWith('node:') && isBuiltin(specifier)) continue
      if (specifier.startsWith('.')) {
        const target = join(dirname(file), specifier)
        t.notMatch(target, /^(?:dev(?:\/|$)|\.\.)/, `${file} must not import ${specifier}`)
        continue
      }
      used.add(packageOf(specifier))
      t.ok(allowed.includes(packageOf(specifier)), `${file} must not import ${specifier}`)
    }
  }
  t.same([...used].sort(), allowed.sort(), 'every dependency is used')
})

t.test('the lock file has a hash for every package, and no host name', async (t) => {
  const entries: [string, { integrity?: string; resolved?: string; link?: boolean }][] = Object.entries(
    (await json('package-lock.json')).packages,
  )
  const installed = entries.filter(([path, { link }]) => path.includes('node_modules/') && !link)
  t.ok(installed.length > 100)
  t.same(
    installed.filter(([, { integrity, resolved }]) => !integrity?.startsWith('sha512-') || resolved),
    [],
  )
})

t.test('no package runs a script when it is installed, and npm needs no decision about any', async (t) => {
  const { allowScripts } = await json('package.json')
  const packages: [string, { hasInstallScript?: true }][] = Object.entries(
    (await json('package-lock.json')).packages,
  )
  const withScripts = packages.filter(([, { hasInstallScript }]) => hasInstallScript)
  t.same(
    allowScripts,
    Object.fromEntries(withScripts.map(([path]) => [path.replace(/^.*node_modules\//, ''), false])),
  )
})

t.test('the image runs as a user without privileges, named by number', async (t) => {
  const stages = (await readFile(join(ROOT, 'Dockerfile'), 'utf8')).split(/^FROM /m)
  t.match(stages.at(-1)?.match(/^USER .*$/gm), ['USER 1000'])
})
