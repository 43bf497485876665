import type { Schemas } from './schemas.ts'

export type User = Schemas['User']
export type Session = Schemas['Session']
export type TokenResponse = Schemas['TokenResponse']

/** Instead of the resource of an access token: it is for the server itself. */
export const OWN = ''

/** An access token that is held in memory only. Its time is counted from when it came, not by the clock of the device. */
export interface Held {
  accessToken: string
  lifetime: number
  /** Of the steady clock, and of the device's, which goes on while the device sleeps; milliseconds. */
  at: readonly [steady: number, device: number]
}

/** Milliseconds of the steady clock and of the device's. */
export type Clocks = () => readonly [steady: number, device: number]

export const CLOCKS: Clocks = () => [performance.now(), Date.now()]

/** Seconds for which the token may still be used. */
export function left(
  { lifetime, at: [steady, device] }: Held,
  [steadyNow, deviceNow]: ReturnType<Clocks>,
): number {
  // A clock that was set back tells nothing; one that jumped ahead costs a refresh at most.
  return lifetime - Math.max(steadyNow - steady, deviceNow - device) / 1_000
}
