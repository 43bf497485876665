// Which shared libraries of the system the image needs.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What glibc loads by name when it looks up a host; since glibc 2.34 most of it is in libc itself. */
const NAME_SERVICES = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']

/**
 * Paths of the libraries that this Node and the native modules below a folder are linked with, and of their loader.
 * @throws {Error} if one is missing here.
 */
export function installedLibraries(folder) {
  const modules = readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.node'))
    .map((file) => join(folder, file))
  const linked = new Set([process.execPath, ...modules].flatMap(linkedLibraries))
  const libc = [...linked].find((path) => path.includes('/libc.so'))
  if (!libc) throw new Error('this Node is not linked with glibc')
  const services = NAME_SERVICES.map((name) => join(dirname(libc), name)).filter((path) => existsSync(path))
  return [...new Set([...linked, ...services])].sort()
}

function linkedLibraries(file) {
  const lines = execFileSync('ldd', [file], { encoding: 'utf8' })
  if (lines.includes('not found')) throw new Error(`${file} needs libraries that are not here:\n${lines}`)
  return [...lines.matchAll(/\/\S+(?= \(0x)/g)].map(([path]) => path)
}
