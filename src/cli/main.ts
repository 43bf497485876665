import { outliveReader } from './output.ts'
import { runCommand } from './run.ts'

outliveReader()
const failure = await runCommand(process.argv.slice(2))
if (failure !== undefined) process.exit(failure)
