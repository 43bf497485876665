// `npm ci` runs this. Without the development dependencies there is no Prisma CLI; dist/ already contains the client.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const CLI = 'node_modules/prisma/build/index.js'
if (existsSync(CLI)) {
  const { status } = spawnSync(process.execPath, [CLI, 'generate'], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
