import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const FLOORS = ['platform', 'core', 'http', 'features', 'services.ts', 'app.ts', 'server.ts', 'cli', 'dev']

const entries = await readdir(SRC, { recursive: true, withFileTypes: true })
const files = entries
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name).slice(SRC.length + 1))
  .filter((file) => !file.startsWith('platform/generated/'))

async function importsOf(file: string): Promise<string[]> {
  const text = await readFile(join(SRC, file), 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) =>
    normalize(join(dirname(file), match[1] as string)),
  )
}
const floor = (file: string) => FLOORS.indexOf(file.split('/')[0] as string)
const room = (file: string) => file.split('/').slice(0, 2).join('/')

t.test('imports go down only, and rooms of one floor keep to themselves', async (t) => {
  t.ok(files.length > 40)
  for (const file of files) {
    for (const target of await importsOf(file)) {
      if (file === 'config.ts') {
        t.ok(target.startsWith('platform/'), `config.ts may not import ${target}`)
        continue
      }
      if (target === 'config.ts') {
        t.ok(floor(file) >= FLOORS.indexOf('services.ts'), `${file} may not read the configuration`)
        continue
      }
      t.ok(floor(target) >= 0, `${target} stands on a floor`)
      t.ok(floor(target) <= floor(file), `${file} may not import ${target}`)
      const apart =
        file.startsWith('features/') && target.startsWith('features/') && room(file) !== room(target)
      t.notOk(apart, `${file} may not import its neighbour ${target}`)
    }
  }
})

t.test('only config.ts reads the environment, and no room outgrows 250 lines', async (t) => {
  for (const file of files) {
    const text = await readFile(join(SRC, file), 'utf8')
    if (file !== 'config.ts') t.notMatch(text, /process\.env/, file)
    t.ok(text.split('\n').length <= 260, `${file} is two rooms`)
  }
})
