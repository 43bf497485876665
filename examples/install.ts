// Installs the packages of examples, each of which has its own, and builds the client that they use.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const cwd = fileURLToPath(new URL('..', import.meta.url))
const npm = (...args: string[]) => execFileSync('npm', args, { cwd, stdio: 'inherit' })

for (const name of process.argv.slice(2)) {
  npm('ci', '--prefix', `examples/${name}`, '--ignore-scripts', '--no-audit', '--no-fund')
}
npm('run', 'build', '--workspace', 'packages/client')
