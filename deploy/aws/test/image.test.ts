import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { root, text } from './templates.ts'

const run = promisify(execFile)
const image = new URL('deploy/aws/image/', root).pathname

test('the image has authorities of RDS that are valid', async () => {
  const { stdout } = await run(process.execPath, [join(image, 'authorities.mjs')], { maxBuffer: 2 ** 24 })
  const certificates = stdout.split(/(?<=-----END CERTIFICATE-----\n)/).filter(Boolean)
  assert.ok(certificates.length > 80)
  const subjects = certificates.map((pem) => {
    const certificate = new X509Certificate(pem)
    assert.ok(certificate.ca)
    return { name: certificate.subject, until: new Date(certificate.validTo) }
  })
  // The authority that the stacks choose, in each region.
  const chosen = subjects.filter(({ name }) => /CN=Amazon RDS \S+ Root CA RSA2048 G1/.test(name))
  assert.ok(chosen.length > 20, String(chosen.length))
  for (const { until } of chosen) assert.ok(until > new Date('2045-01-01'))
})

test('both images have the Node of the root image', () => {
  const version = (path: string) => text(path).match(/^ARG NODE_IMAGE=(\S+)/m)?.[1]
  assert.equal(version('deploy/aws/image/Dockerfile'), version('Dockerfile'))
})

test('on Lambda, the server starts with the values of the secrets', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-'))
  t.after(() => rm(folder, { recursive: true }))
  const asked: string[] = []
  const manager = createServer(async (request, response) => {
    const { SecretId } = JSON.parse((await request.toArray()).join(''))
    asked.push(`${request.headers['x-amz-target']} ${SecretId}`)
    response.setHeader('content-type', 'application/x-amz-json-1.1')
    response.end(JSON.stringify({ ARN: SecretId, Name: 'x', SecretString: `value of ${SecretId}` }))
  })
  await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve))
  t.after(() => manager.close())

  // The folders of the image, with a program that shows its environment as the server.
  await mkdir(join(folder, 'aws'))
  await mkdir(join(folder, 'dist'))
  await cp(join(image, 'lambda-start.mjs'), join(folder, 'aws/lambda-start.mjs'))
  await symlink(join(image, 'node_modules'), join(folder, 'aws/node_modules'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(
    join(folder, 'dist/server.js'),
    'const { APP_SECRETS, REDIS_URL } = process.env; console.log(JSON.stringify({ APP_SECRETS, REDIS_URL }))',
  )
  const { stdout } = await run(process.execPath, [join(folder, 'aws/lambda-start.mjs')], {
    env: {
      PATH: process.env.PATH,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
      AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(manager.address() as AddressInfo).port}`,
      VALUES_FROM_SECRETS: JSON.stringify({ APP_SECRETS: 'arn:one', REDIS_URL: 'arn:two' }),
    },
  })
  assert.deepEqual(JSON.parse(stdout), { APP_SECRETS: 'value of arn:one', REDIS_URL: 'value of arn:two' })
  assert.deepEqual(asked.sort(), [
    'secretsmanager.GetSecretValue arn:one',
    'secretsmanager.GetSecretValue arn:two',
  ])
})
