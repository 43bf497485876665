import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import { UUID } from 'uuidv7'
import { Problem } from '../core/problems/problems.ts'

/** A position in a list that is sorted by time, newest first, and by id within a millisecond. */
export interface Position {
  at: Date
  id: string
}

const LIMIT = 50
/** The query parameters of a page. A query holds only text, so a number is described by a pattern. */
export const pageFields = {
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9][0-9]?|100)$',
      description: `Items per page, 1 to 100; ${LIMIT} by default`,
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{51,1024}$',
      description: 'The `next_cursor` of the previous page',
    }),
  ),
}

/** A requested page: its size, and the position after which it begins. */
export interface PageRequest {
  limit: number
  after: Position | undefined
}

/**
 * @param list names the list and its filters: a cursor of one list is not valid for another.
 * @throws `validation_failed` when the cursor does not belong to this list.
 */
export function pageOf(list: string, query: { limit?: string; cursor?: string }): PageRequest {
  const limit = Number(query.limit ?? LIMIT)
  if (query.cursor === undefined) return { limit, after: undefined }
  const after = decodeCursor(list, query.cursor)
  if (after) return { limit, after }
  throw new Problem('validation_failed', {
    errors: [{ pointer: '/cursor', detail: 'is not a cursor of this list' }],
  })
}

/** Removes the extra row that was read beyond the page and returns the cursor of the next page. */
export function cutPage<Row extends { id: string }>(
  list: string,
  rows: readonly Row[],
  limit: number,
  at: (row: Row) => Date,
): { page: readonly Row[]; next: string | null } {
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return { page, next: last ? encodeCursor(list, { at: at(last), id: last.id }) : null }
}

// at: 48 bits of milliseconds, id: a UUID, list: 128 bits. Postgres can hold every such time. An id that is no UUID
// follows as text, in place of the nil UUID.
const ID = 6
const LIST = 22
const LENGTH = 38

/** A position as opaque text in base64url: 51 characters for a UUID. */
function encodeCursor(list: string, { at, id }: Position): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes.writeUIntBE(at.getTime(), 0, ID)
  bytes.set(digest(list), LIST)
  if (!UUID_FORM.test(id)) return Buffer.concat([bytes, Buffer.from(id)]).toString('base64url')
  bytes.set(UUID.parse(id).bytes, ID)
  return bytes.toString('base64url')
}

const UUID_FORM = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The position of a cursor; null when it is malformed or belongs to another list. */
function decodeCursor(list: string, cursor: string): Position | null {
  const bytes = Buffer.from(cursor, 'base64url')
  // Node's decoder skips unknown characters: only the canonical spelling is accepted.
  if (bytes.length < LENGTH || bytes.toString('base64url') !== cursor) return null
  if (!digest(list).equals(bytes.subarray(LIST, LENGTH))) return null
  const at = new Date(bytes.readUIntBE(0, ID))
  const uuid = UUID.ofInner(bytes.subarray(ID, LIST)).toString()
  if (bytes.length === LENGTH) return { at, id: uuid }
  const id = bytes.subarray(LENGTH).toString()
  // Postgres stores no such text.
  return /^[\x21-\x7e]+$/.test(id) ? { at, id } : null
}

const digest = (list: string) =>
  createHash('sha256')
    .update(list)
    .digest()
    .subarray(0, LENGTH - LIST)
