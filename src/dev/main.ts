import { explain } from '../platform/explain.ts'
import { dev } from './dev.ts'

const USAGE = `Usage: npm run dev [-- --nodes <n>]

Starts a development server. It starts its own Postgres and Redis unless DATABASE_URL and REDIS_URL are set.
--nodes <n> starts several servers on the same stores.
`

const args = process.argv.slice(2)
if (args.includes('--help') || args.includes('-h')) {
  console.log(USAGE)
} else {
  try {
    await dev(args)
  } catch (error) {
    const explained = explain(error)
    console.error(typeof explained === 'string' ? `ratchet dev: ${explained}` : explained)
    process.exit(1)
  }
}
