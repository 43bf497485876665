import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'

export interface Download {
  /** Letters, digits, dots and dashes. */
  filename: string
  /** The parts of a JSON document. Each is asked for when the client has taken most of the one before. */
  parts: AsyncIterable<string>
  /** Called once, when all of it has been sent, or when that can no longer happen. */
  ended?: (isComplete: boolean) => void
  /** Milliseconds for which the client may take nothing. */
  patienceMs?: number
}

const PATIENCE_MS = 60_000

/**
 * Sends a document of any length as a file to save. If a part fails, the connection is cut: neither the transfer nor
 * the JSON then looks complete. The same happens to a client that stops reading.
 */
export function sendDownload(reply: FastifyReply, download: Download): FastifyReply {
  const { filename, parts, ended, patienceMs = PATIENCE_MS } = download
  const { raw } = reply
  const patience = setTimeout(() => raw.destroy(), patienceMs).unref()
  const close = () => {
    clearTimeout(patience)
    ended?.(raw.writableFinished)
  }
  // A client that has gone already causes no event.
  if (raw.destroyed) close()
  else raw.once('close', close)
  async function* taken() {
    for await (const part of parts) {
      patience.refresh()
      yield part
    }
  }
  return reply
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="${filename}"`)
    .type('application/json; charset=utf-8')
    .send(Readable.from(taken()))
}
