import { explain } from '../platform/explain.ts'
import { dev } from './dev.ts'

const USAGE = `Usage: npm run dev [-- --nodes <n>]

Starts a server for development, with a Postgres and a Redis of its own where DATABASE_URL and REDIS_URL give none.
--nodes <n> starts several on the same stores.
`

const args = process.argv.slice(2)
if (args.includes('--help') || args.includes('-h')) {
  console.log(USAGE)
} else {
  try {
    await dev(args)
  } catch (error) {
    const told = explain(error)
    console.error(typeof told === 'string' ? `ratchet dev: ${told}` : told)
    process.exit(1)
  }
}
