import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

const EACH = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs

/** The text of a PEM file with certificates; undefined when the file is missing, or one of them cannot be read. */
export function readCertificates(path: string): string | undefined {
  try {
    const pem = readFileSync(path, 'utf8')
    const certificates = pem.match(EACH) ?? []
    for (const certificate of certificates) new X509Certificate(certificate)
    return certificates.length > 0 ? pem : undefined
  } catch {
    return undefined
  }
}
