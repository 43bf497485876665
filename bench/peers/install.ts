import { execFileSync } from 'node:child_process'
import { rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const GENERATED = `${FOLDER}servers/generated`

/** Installs the packages of the other servers, which are not Ratchet's, unless they are up to date. */
export function installPeers(): void {
  const changed = Math.max(
    ...['package-lock.json', 'servers/by-hand.prisma'].map((name) => modified(FOLDER + name)),
  )
  // The client is generated last, so it also says that everything before it was completed.
  if (modified(GENERATED) > changed) return
  console.log('Installing the other servers in bench/peers')
  rmSync(GENERATED, { recursive: true, force: true })
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: FOLDER, stdio: 'inherit' })
  // The command is Ratchet's own: the same version, and it is large.
  execFileSync('npx', ['--no', 'prisma', 'generate', '--config', `${FOLDER}prisma.config.ts`])
}

const modified = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
