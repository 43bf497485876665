import { webUriFault } from '../redirect-uri.ts'

const LONGEST = 1_000

/** Whether a client id is meant as the address of a metadata document. */
export const isUrl = (id: string): boolean => /^https?:/i.test(id)

/**
 * Whether a client id can be the address of a metadata document (draft-ietf-oauth-client-id-metadata-document §3): https
 * with a path, written in the one way in which a URL parser writes it, so that a client has one id.
 * `http` is for this machine, in development.
 */
export function isDocumentUrl(id: string, { allowsPrivate }: { allowsPrivate: boolean }): boolean {
  if (id.length > LONGEST || webUriFault(id) !== null) return false
  const { protocol, hostname, pathname, href } = new URL(id)
  return (
    href === id && pathname !== '/' && !hostname.endsWith('.') && (protocol === 'https:' || allowsPrivate)
  )
}
