import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

export interface Certificates {
  /** PEM of the authority. */
  ca: string
  /** Paths of PEM files. */
  caFile: string
  cert: string
  key: string
}

/** Why tests that need certificates are skipped; false if they are not. */
export const noOpenssl =
  spawnSync('openssl', ['version']).status === 0 ? false : 'certificates are made by openssl: install it'

/** Creates an authority and a certificate that it signs for one server, such as `IP:127.0.0.1`. */
export async function makeCertificates(t: Teardown, subject = 'IP:127.0.0.1'): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-certificates-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...newKey, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=Test CA')
  openssl('req', ...newKey, '-keyout', at('server.key'), '-out', at('server.csr'), '-subj', '/CN=redis')
  await writeFile(at('extensions'), `subjectAltName=${subject}\n`)
  const authority = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial']
  const output = ['-out', at('server.crt'), '-extfile', at('extensions')]
  openssl('x509', '-req', '-days', '1', '-in', at('server.csr'), ...authority, ...output)
  return {
    ca: await readFile(at('ca.crt'), 'utf8'),
    caFile: at('ca.crt'),
    cert: at('server.crt'),
    key: at('server.key'),
  }
}
