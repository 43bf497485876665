import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { root, text } from './templates.ts'

const run = promisify(execFile)
const image = new URL('deploy/aws/image/', root).pathname

test('both images have the Node of the root image', () => {
  const version = (path: string) => text(path).match(/^ARG NODE_IMAGE=(\S+)/m)?.[1]
  assert.equal(version('deploy/aws/image/Dockerfile'), version('Dockerfile'))
})

/** Secrets Manager, as far as a client of it sees. */
async function startSecretsManager(t: TestContext) {
  const asked: string[] = []
  const manager = createServer(async (request, response) => {
    const { SecretId } = JSON.parse((await request.toArray()).join(''))
    asked.push(`${request.headers['x-amz-target']} ${SecretId}`)
    response.setHeader('content-type', 'application/x-amz-json-1.1')
    if (SecretId.endsWith(':denied')) {
      response.statusCode = 400
      response.end(JSON.stringify({ __type: 'AccessDeniedException', message: 'not authorized' }))
    } else response.end(JSON.stringify({ ARN: SecretId, Name: 'x', SecretString: `value "of" ${SecretId}=` }))
  })
  await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve))
  t.after(() => manager.close())
  const env = {
    PATH: process.env.PATH,
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    // The client warns of a Node that is older than that of the image.
    NODE_NO_WARNINGS: '1',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(manager.address() as AddressInfo).port}`,
  }
  return { asked, env }
}

test('the image has a program that prints secrets, in the region of each', async (t) => {
  const { asked, env } = await startSecretsManager(t)
  const arn = (name: string) => `arn:aws:secretsmanager:eu-central-1:123456789012:secret:${name}`
  const names = [`APP_SECRETS=${arn('one')}`, `REDIS_URL=${arn('two')}`]
  const { stdout, stderr } = await run(process.execPath, [join(image, 'secrets.mjs'), ...names], { env })
  assert.deepEqual(JSON.parse(stdout), {
    APP_SECRETS: `value "of" ${arn('one')}=`,
    REDIS_URL: `value "of" ${arn('two')}=`,
  })
  assert.equal(stderr, '')
  assert.deepEqual(asked.sort(), [
    `secretsmanager.GetSecretValue ${arn('one')}`,
    `secretsmanager.GetSecretValue ${arn('two')}`,
  ])
})

test('a secret that cannot be read is named in one line, and nothing is printed', async (t) => {
  const { env } = await startSecretsManager(t)
  const arn = (name: string) => `arn:aws:secretsmanager:eu-central-1:123456789012:secret:${name}`
  const names = [`APP_SECRETS=${arn('one')}`, `REDIS_URL=${arn('denied')}`]
  const failed = run(process.execPath, [join(image, 'secrets.mjs'), ...names], { env })
  await assert.rejects(failed, {
    code: 1,
    stdout: '',
    stderr: 'REDIS_URL: AccessDeniedException: not authorized\n',
  })
})
