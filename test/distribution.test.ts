import { readdir, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SRC = join(ROOT, 'src')

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

t.test('distributed files import only Node, each other and dependencies', async (t) => {
  const { dependencies } = await json('package.json')
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
      t.ok(packageOf(specifier) in dependencies, `${file} must not import ${specifier}`)
    }
  }
  t.same([...used].sort(), Object.keys(dependencies).sort(), 'every dependency is used')
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
