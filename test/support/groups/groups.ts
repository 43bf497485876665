import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const RUNNER = new URL('group.ts', import.meta.url).href
// Half of a file's processor time is the start of its process, but a process needs memory for each file.
const FILES_PER_GROUP = 8
// Each has a process of its own, because what it measures or changes is the process.
const ALONE = ['test/support/fault-proxy.test.ts', 'test/timing/equal-times.test.ts']

/** The test files below a folder; none if it does not exist. */
async function testsIn(folder: string): Promise<string[]> {
  const names = await readdir(join(ROOT, folder), { recursive: true }).catch(() => [])
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(folder, name))
}

export interface Groups {
  /** What tap runs, each as a process. */
  entries: string[]
  remove(): Promise<void>
}

/** Divides all test files into groups that share a process. Neighbours, which are similarly slow, are in different ones. */
export async function createGroups(): Promise<Groups> {
  const packages = (await readdir(join(ROOT, 'packages'))).map((name) => join('packages', name, 'test'))
  const files = (await Promise.all(['test', ...packages].map(testsIn))).flat()
  const shared = files.filter((file) => !ALONE.includes(file)).sort()
  const count = Math.ceil(shared.length / FILES_PER_GROUP)
  // Below the root, because tap files its results by the path from there.
  await mkdir(join(ROOT, '.tap'), { recursive: true })
  const folder = await mkdtemp(join(ROOT, '.tap/groups-'))
  const entries = await Promise.all(
    Array.from({ length: count }, async (_, group) => {
      const members = shared.filter((_, index) => index % count === group)
      const path = join(folder, `${String(group + 1).padStart(2, '0')}.mjs`)
      const source = `import { runGroup } from '${RUNNER}'\nawait runGroup(${JSON.stringify(members)})\n`
      await writeFile(path, source)
      return relative(ROOT, path)
    }),
  )
  return {
    entries: [...entries, ...ALONE],
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
