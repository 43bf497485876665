import type { Query } from '../../../platform/database.ts'
import { type LedgerFamily, readFamilies } from './ledger-store.ts'

/** Reads a family from the ledger, ended or not; null when there is no such family. */
export type ReadFamily = (familyHash: string) => Promise<LedgerFamily | null>

type Read = ReturnType<typeof readFamilies>

const MAX_FAMILIES = 100

/** Families that are asked for within one turn of the event loop are one statement: an emptied Redis makes all cold. */
export function createFamilyReader(query: Query): ReadFamily {
  let batch: { hashes: Set<string>; read: Read } | undefined

  function open() {
    const hashes = new Set<string>()
    const read = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      if (batch?.hashes === hashes) batch = undefined
      return readFamilies(query, [...hashes])
    })
    return { hashes, read }
  }

  return async (familyHash) => {
    if (!batch || batch.hashes.size >= MAX_FAMILIES) batch = open()
    batch.hashes.add(familyHash)
    return (await batch.read).get(familyHash) ?? null
  }
}
