import { UUID } from 'uuidv7'

/** The place of an event in its account's list: newest first, and by id among those of one millisecond. */
export interface Position {
  at: Date
  id: string
}

// at: 48 bits of milliseconds, id: a UUID, account: a UUID. Every such time is one that Postgres can hold.
const ID = 6
const ACCOUNT = 22
const LENGTH = 38

/** A position as opaque text: 51 characters of base64url. */
export function encodeCursor(userId: string, { at, id }: Position): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes.writeUIntBE(at.getTime(), 0, ID)
  bytes.set(UUID.parse(id).bytes, ID)
  bytes.set(UUID.parse(userId).bytes, ACCOUNT)
  return bytes.toString('base64url')
}

/** The position a cursor of this account names; null when it is none, or another account's. */
export function decodeCursor(userId: string, cursor: string): Position | null {
  const bytes = Buffer.from(cursor, 'base64url')
  // Node's decoder skips what it does not know: only text that it would write itself counts.
  if (bytes.length !== LENGTH || bytes.toString('base64url') !== cursor) return null
  if (UUID.ofInner(bytes.subarray(ACCOUNT)).toString() !== userId) return null
  return { at: new Date(bytes.readUIntBE(0, ID)), id: UUID.ofInner(bytes.subarray(ID, ACCOUNT)).toString() }
}
