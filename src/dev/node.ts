// Another node of `npm run dev -- --nodes`. It ends with the process that started it.
import { environment, loadConfig } from '../config.ts'
import { surviveClosedOutput } from '../platform/log-sink.ts'
import { serve } from '../serve.ts'
import { developmentOptions } from './app-options.ts'

surviveClosedOutput()
const config = loadConfig(environment())
const server = await serve(config, developmentOptions(config))
// The terminal sends Ctrl-C to every process; the first node ends the others in order.
process.on('SIGINT', () => {})
process.on('disconnect', () => void server.close().finally(() => process.exit()))
process.send?.({ url: server.url })
