// `npm run demo`: the development server, an API and an app that uses both, each on an origin of its own.
import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const install = ['ci', '--no-audit', '--no-fund', '--ignore-scripts']

for (const example of ['spa', 'api']) {
  execFileSync('npm', [...install, '--prefix', `examples/${example}`], { cwd: root, stdio: 'inherit' })
}
execFileSync('npm', ['run', 'build', '--workspace', 'packages/client'], { cwd: root, stdio: 'inherit' })

const children = [
  spawn('npm', ['run', 'dev'], { cwd: root, stdio: 'inherit' }),
  spawn(process.execPath, ['server.js'], { cwd: `${root}examples/api`, stdio: 'inherit' }),
  spawn(process.execPath, ['node_modules/vite/bin/vite.js'], {
    cwd: `${root}examples/spa`,
    stdio: 'inherit',
  }),
]
// Ctrl-C reaches all of them; without one of them the demo is none.
process.on('SIGINT', () => {})
process.on('SIGTERM', stop)
for (const child of children) child.on('exit', stop)

function stop(): void {
  for (const child of children) child.kill('SIGTERM')
}
