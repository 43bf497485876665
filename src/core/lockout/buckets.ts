import { clientKey } from '../../platform/client-key.ts'
import { type Buckets, type DeviceStanding, LASTING } from './counters.ts'

/** The counters of a guess by a client whose device the account does not know. */
export function strangerBuckets(what: string, ip: string): Buckets {
  // Reaching the second factor takes the password, so all unknown devices share one count here.
  const here = what === 'password' ? `${what}:${clientKey(ip)}` : `${what}:strangers`
  return { here, everywhere: `${what}${LASTING}` }
}

/** Counted apart: who can read the owner's mail must not use up the count of the owner's devices. */
export function deviceBuckets(what: string, hash: Uint8Array): Record<DeviceStanding, Buckets> {
  const here = `${what}:device:${Buffer.from(hash).toString('base64url')}`
  return {
    signed_in: { here, everywhere: `${what}:devices${LASTING}` },
    unlocked: { here, everywhere: `${what}:unlocked${LASTING}` },
  }
}
