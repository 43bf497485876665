// The process of a runtime. It has to end by itself.
import { useSession } from './session.mjs'

const options = JSON.parse(process.argv[2])
const happened = await useSession(options)

// Neither the timers of somebody who is signed in nor what tabs tell each other may keep the process.
const { createAuthClient } = await import(options.module)
const { status } = await createAuthClient(options).signIn(options.account)

const { bun, deno, node } = process.versions
const [runtime, version] = bun ? ['bun', bun] : deno ? ['deno', deno] : ['node', node]
console.log(JSON.stringify({ runtime, version, happened, stays: status }))
