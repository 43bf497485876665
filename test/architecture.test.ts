import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** The layers from the lowest up. A file imports its own layer and those below it. */
const LAYERS = [
  ['platform'],
  ['core'],
  ['http'],
  ['features'],
  ['services.ts', 'app.ts'],
  ['server.ts', 'cli', 'dev'],
]

/** The folders of core from the lowest up. Folders on one line do not import each other. */
const CORE = [
  ['reasons', 'clients'],
  ['problems', 'principals'],
  ['events', 'outbox', 'passwords'],
  ['users', 'mail'],
  ['one-time', 'sessions'],
  ['factors', 'lockout', 'tokens', 'erasure', 'sealed-rows', 'retention'],
  ['sign-in'],
  ['uses.ts'],
]

const MAX_LINES = 250

const entries = await readdir(SRC, { recursive: true, withFileTypes: true })
const files = entries
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name).slice(SRC.length + 1))
  .filter((file) => !file.startsWith('platform/generated/'))
const texts = new Map(
  await Promise.all(files.map(async (file) => [file, await readFile(join(SRC, file), 'utf8')] as const)),
)
const textOf = (file: string) => texts.get(file) as string

function importsOf(file: string): string[] {
  return [...textOf(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) =>
    normalize(join(dirname(file), match[1] as string)),
  )
}
const indexIn = (order: string[][], name: string) => order.findIndex((names) => names.includes(name))
const layer = (file: string) => indexIn(LAYERS, file.split('/')[0] as string)
/** `core/users/search.ts` → `users` */
const folderOf = (file: string) => file.split('/')[1] as string

t.test('files import only their own layer and those below it', async (t) => {
  t.ok(files.length > 150)
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (file === 'config.ts') {
        t.ok(target.startsWith('platform/'), `config.ts must not import ${target}`)
        continue
      }
      if (target === 'config.ts') {
        t.ok(layer(file) >= indexIn(LAYERS, 'services.ts'), `${file} must not read the configuration`)
        continue
      }
      t.ok(layer(target) >= 0, `${target} belongs to a layer`)
      t.ok(layer(target) <= layer(file), `${file} must not import ${target}`)
    }
  }
})

t.test('features do not import each other, and other code imports only their plugin', async (t) => {
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (!target.startsWith('features/')) continue
      if (file.startsWith('features/')) {
        t.equal(folderOf(file), folderOf(target), `${file} must not import another feature: ${target}`)
        continue
      }
      // The command line shares the use cases of administrators.
      if (file.startsWith('cli/users/') && folderOf(target) === 'admin') continue
      t.equal(basename(target), `${folderOf(target)}.plugin.ts`, `${file} must not import ${target}`)
    }
  }
})

t.test('a folder of core is imported through its namesake file, by folders above it', async (t) => {
  const folders = new Set(files.filter((file) => file.startsWith('core/')).map(folderOf))
  t.same([...folders].sort(), CORE.flat().sort(), 'every folder has a place in the order')
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (!target.startsWith('core/') || target === 'core/uses.ts') continue
      const [own, other] = [file.startsWith('core/') ? folderOf(file) : undefined, folderOf(target)]
      if (own === other) continue
      t.equal(target, `core/${other}/${other}.ts`, `${file} must not import ${target}`)
      if (own) t.ok(indexIn(CORE, own) > indexIn(CORE, other), `${file} must not import ${target}`)
    }
  }
})

t.test('the tables of users and sessions have one owner each', async (t) => {
  const owners = [
    {
      folder: 'core/users/',
      delegate: /\b(?:db|tx|client)\.user\b/,
      table: /\b(?:FROM|JOIN|INTO|UPDATE)\s+"?users\b/,
    },
    {
      folder: 'core/sessions/',
      delegate: /\b(?:db|tx|client)\.session\b/,
      table: /\b(?:FROM|JOIN|INTO|UPDATE)\s+"?sessions\b/,
    },
  ]
  for (const file of files) {
    for (const { folder, delegate, table } of owners) {
      if (file.startsWith(folder)) continue
      t.notMatch(textOf(file), delegate, file)
      t.notMatch(textOf(file), table, file)
    }
  }
})

t.test('only core and platform contain raw SQL', async (t) => {
  for (const file of files.filter((name) => !/^(?:core|platform|dev\/embedded)\//.test(name))) {
    t.notMatch(textOf(file), /\$(?:query|execute)Raw|\bPrisma\.sql\b|\.query\(/, file)
  }
})

t.test('only transact opens transactions, so that their after-commit effects run', async (t) => {
  const opening = files.filter((file) => textOf(file).includes('$transaction('))
  // Two more have no after-commit effects: a rotation on the ledger, and the deletion of old rows.
  t.same(opening.sort(), [
    'core/retention/retention.ts',
    'core/sessions/rotation/ledger-store.ts',
    'platform/transact.ts',
  ])
})

t.test('only config.ts reads the environment', async (t) => {
  for (const file of files) {
    if (file !== 'config.ts') t.notMatch(textOf(file), /process\.env/, file)
  }
})

t.test(`no file has more than ${MAX_LINES} lines`, async (t) => {
  for (const file of files) {
    const lines = textOf(file).trimEnd().split('\n').length
    t.ok(lines <= MAX_LINES, `${file} has ${lines} lines: split it`)
  }
})
