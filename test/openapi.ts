// Checks the description of a running server with the tools of clients: `npm run openapi` installs them.
import { execFile } from 'node:child_process'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { startServer } from './support/server.ts'

const tools = fileURLToPath(new URL('../.ci/openapi/', import.meta.url))
const tool = (name: string) => join(tools, 'node_modules/.bin', name)
// Not localhost, which a linter objects to. Nothing is asked there.
const env = {
  PUBLIC_URL: 'https://auth.ratchet.test',
  // With it, the webhook is described too.
  RESEND_API_KEY: 're_none',
  RESEND_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, 1).toString('base64')}`,
  MAIL_FROM: 'ratchet@example.com',
}
const server = await startServer(t, { env })
const folder = t.testdir()
const document = join(folder, 'openapi.json')
await writeFile(document, (await server.call('GET', '/openapi.json')).text)

// Nothing is asked or told over the network.
const QUIET = { PATH: process.env.PATH, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }

/** What a tool reports; it must end with 0. */
async function run(command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd: folder, env: QUIET })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${stdout}${stderr}` || String(error), { cause: error })
  }
}

t.test('Redocly has nothing to say about the description', async (t) => {
  const found = await run(
    tool('redocly'),
    'lint',
    document,
    '--config',
    join(tools, 'redocly.yaml'),
    '--format',
    'json',
  )
  t.match(JSON.parse(found), { totals: { errors: 0, warnings: 0, ignored: 0 }, problems: [] })
})

t.test('Spectral has nothing to say about the description', async (t) => {
  const args = [
    'lint',
    document,
    '--ruleset',
    join(tools, '.spectral.yaml'),
    '--fail-severity',
    'hint',
    '--format',
    'json',
    '--quiet',
  ]
  t.strictSame(JSON.parse(await run(tool('spectral'), ...args)), [])
})

t.test('openapi-typescript makes types of it with which a client compiles', async (t) => {
  await run(tool('openapi-typescript'), document, '--output', join(folder, 'api.d.ts'))
  await copyFile(join(tools, 'client.ts'), join(folder, 'client.ts'))
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: 'es2023',
    lib: ['es2023', 'dom'],
    module: 'nodenext',
    types: [],
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['client.ts'] }))
  t.equal(await run(tool('tsc'), '--project', folder), '')
})

t.test('the types of the client package are those of the description', async (t) => {
  const { openapi, info, components } = JSON.parse(await readFile(document, 'utf8'))
  const schemas: Record<string, unknown> = {}
  const include = (name: string) => {
    if (schemas[name]) return
    schemas[name] = components.schemas[name]
    for (const [, other = ''] of JSON.stringify(schemas[name]).matchAll(/"#\/components\/schemas\/(\w+)"/g))
      include(other)
  }
  const client = fileURLToPath(new URL('../packages/client/', import.meta.url))
  for (const name of JSON.parse(await readFile(join(client, 'schemas.json'), 'utf8'))) include(name)
  const part = { openapi, info, paths: {}, components: { schemas } }
  await writeFile(join(folder, 'part.json'), JSON.stringify(part))
  const made = join(folder, 'openapi.ts')
  await run(tool('openapi-typescript'), join(folder, 'part.json'), '--alphabetize', '--output', made)
  const kept = join(client, 'src/openapi.ts')
  if (process.env.UPDATE) await copyFile(made, kept)
  t.equal(
    await readFile(kept, 'utf8'),
    await readFile(made, 'utf8'),
    'UPDATE=1 npm run openapi writes them anew',
  )
})
