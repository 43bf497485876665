import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The text of a PEM file with certificates; undefined when the file is missing or holds none. */
export function readCertificates(path: string): string | undefined {
  try {
    const pem = readFileSync(path, 'utf8')
    new X509Certificate(pem)
    return pem
  } catch {
    return undefined
  }
}
