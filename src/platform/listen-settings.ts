import { isIP } from 'node:net'
import type { Environment, Reader } from './environment.ts'

/** Where the server listens. */
export interface ListenSettings {
  readonly host: string
  readonly port: number
  /** The file descriptor of a socket that systemd listens on for this process: it takes the place of `port`. */
  readonly passedSocket: number | undefined
  /** Whether a socket was passed on to another process, such as the shell that has started this one. */
  readonly isSocketOfAnother: boolean
}

/** The first file descriptor that systemd passes on: sd_listen_fds(3). */
const FIRST_PASSED = 3

export function readListenSettings(env: Environment, read: Reader, production: boolean): ListenSettings {
  const isForUs = env.LISTEN_PID === String(process.pid)
  return {
    host: readHost(read, production ? '0.0.0.0' : '127.0.0.1'),
    port: read.integer('PORT', 8080, 0, 65_535),
    passedSocket: isForUs ? readPassedSocket(env, read) : undefined,
    isSocketOfAnother: Boolean(env.LISTEN_FDS) && !isForUs,
  }
}

function readHost(read: Reader, fallback: string): string {
  const host = read.text('HOST', fallback).replace(/^\[(.*)\]$/, '$1')
  if (!isIP(host) && !/^[a-z\d_](?:[\w.-]*[\w.])?$/i.test(host))
    read.fault(
      'HOST must be an address of this machine to listen on, without a scheme or a port: that is PORT',
    )
  return host
}

function readPassedSocket(env: Environment, read: Reader): number | undefined {
  if (!env.LISTEN_FDS) return undefined
  if (env.LISTEN_FDS !== '1')
    read.fault('LISTEN_FDS must be 1: the socket unit of systemd needs exactly one ListenStream')
  return FIRST_PASSED
}
