import { hash } from 'node:crypto'

/** 32 bytes, as Postgres stores them. */
export const sha256 = (data: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hash('sha256', data, 'buffer'))
