import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** From the lowest layer up; a file imports its own layer and those below. */
const LAYERS = [
  ['platform'],
  ['core'],
  ['http'],
  ['features'],
  ['texts.ts'],
  ['services.ts', 'app.ts'],
  ['serve.ts', 'server.ts', 'cli', 'dev'],
]

/** The folders of core from the lowest up. Folders that share a line do not import each other. */
const CORE = [
  ['reasons', 'clients', 'languages'],
  ['problems', 'principals'],
  ['events', 'outbox', 'passwords'],
  ['users', 'mail'],
  ['one-time', 'sessions'],
  ['factors', 'lockout', 'tokens', 'grants', 'dpop', 'erasure', 'sealed-rows', 'retention'],
  ['registrations', 'respelling', 'sign-in', 'factor-resets', 'client-registry', 'backchannel-logout'],
  ['account-data'],
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
const layerOf = (file: string) => indexIn(LAYERS, file.split('/')[0] as string)
/** `core/users/search.ts` → `users` */
const folderOf = (file: string) => file.split('/')[1] as string

t.test('imports go down only', async (t) => {
  t.ok(files.length > 150)
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (file === 'config.ts') {
        t.ok(target.startsWith('platform/'), `config.ts may not import ${target}`)
        continue
      }
      if (target === 'config.ts') {
        t.ok(layerOf(file) >= indexIn(LAYERS, 'services.ts'), `${file} may not read the configuration`)
        continue
      }
      t.ok(layerOf(target) >= 0, `${target} belongs to a layer`)
      t.ok(layerOf(target) <= layerOf(file), `${file} may not import ${target}`)
    }
  }
})

t.test('features do not import each other, and are imported by their plugin', async (t) => {
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (!target.startsWith('features/')) continue
      if (file.startsWith('features/')) {
        t.equal(folderOf(file), folderOf(target), `${file} may not import ${target}`)
        continue
      }
      // The command line shares the use cases of administrators.
      if (file.startsWith('cli/users/') && folderOf(target) === 'admin') continue
      t.equal(basename(target), `${folderOf(target)}.plugin.ts`, `${file} may not import ${target}`)
    }
  }
})

t.test('a folder of core is imported through its namesake file, from a folder above it', async (t) => {
  const folders = new Set(files.filter((file) => file.startsWith('core/')).map(folderOf))
  t.same([...folders].sort(), CORE.flat().sort(), 'every folder has its place in the order')
  for (const file of files) {
    for (const target of importsOf(file)) {
      if (!target.startsWith('core/') || target === 'core/uses.ts') continue
      const [own, other] = [file.startsWith('core/') ? folderOf(file) : undefined, folderOf(target)]
      if (own === other) continue
      t.equal(target, `core/${other}/${other}.ts`, `${file} may not import ${target}`)
      if (own) t.ok(indexIn(CORE, own) > indexIn(CORE, other), `${file} may not import ${target}`)
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

t.test('raw SQL is in core and platform only', async (t) => {
  for (const file of files.filter((name) => !/^(?:core|platform|dev\/embedded)\//.test(name))) {
    t.notMatch(textOf(file), /\$(?:query|execute)Raw|\bPrisma\.sql\b|\.query\(/, file)
  }
})

t.test('transactions are opened by transact, so that their effects happen', async (t) => {
  const opening = files.filter((file) => textOf(file).includes('$transaction('))
  // The last two have no effects: a rotation on the ledger, and the deletion of old rows.
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
    t.ok(lines <= MAX_LINES, `${file} has ${lines} lines: it is two files`)
  }
})
