import { METHODS } from 'node:http'
import type { Socket } from 'node:net'
import type { ProblemCode } from '../core/problems/problems.ts'
import type { Log } from '../platform/log.ts'
import { clientAddress, type TrustHop } from '../platform/trusted-proxies.ts'
import { createPathNames } from './request-path.ts'

/** What is known of a request that was answered before any hook ran. */
export interface EarlyRequest {
  /** The header `X-Request-Id` of the answer. */
  id: string
  socket: Socket
  status: number
  code: ProblemCode
  method?: string | undefined
  url?: string | undefined
  /** The header `X-Forwarded-For`. */
  forwarded?: string | undefined
}

export type LogEarlyRequest = (request: EarlyRequest) => void

/** Writes the line that other requests get from a hook. Nothing of it is longer than in theirs, or more secret. */
export function createEarlyRequestLog(log: Pick<Log, 'info'>, trusts: TrustHop): LogEarlyRequest {
  const pathName = createPathNames()
  return ({ id, socket, status, code, method, url, forwarded }) => {
    log.info(
      {
        request_id: id,
        method,
        route: 'unknown',
        path: url === undefined ? undefined : pathName(url),
        status,
        code,
        ip: clientAddress(socket.remoteAddress, forwarded, trusts),
      },
      'request',
    )
  }
}

const LINE = /^([A-Z-]{1,20}) (\/\S*) HTTP\/\d\.\d\r?$/

/** Method and URL of what begins with a request line in full; nothing of what may be a part of a body. */
export function requestLineIn(packet: unknown): { method?: string; url?: string } {
  if (!(packet instanceof Buffer)) return {}
  const [first = ''] = packet.toString('latin1').split('\n', 1)
  const [, method, url] = LINE.exec(first) ?? []
  // Any other word is what a client has made up, or part of what it sends.
  return method && url && METHODS.includes(method) ? { method, url } : {}
}
