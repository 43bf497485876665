import type { Client } from '../../../core/clients/clients.ts'

/** `http` on this machine, which any program of the machine can receive (RFC 8252 §8.3). */
export const isLoopback = (redirectUri: string): boolean => redirectUri.startsWith('http:')

/** Whether an app of the device is called by its own scheme. */
export const isAppScheme = (redirectUri: string): boolean => !/^https?:/i.test(redirectUri)

/** Whether a client that describes itself leads to another site than that of its description. */
export const leadsElsewhere = (
  { isRegistered, uri }: Pick<Client, 'isRegistered' | 'uri'>,
  redirectUri: string,
): boolean =>
  !isRegistered &&
  uri !== null &&
  /^https:/i.test(redirectUri) &&
  new URL(uri).origin !== new URL(redirectUri).origin

/** Another program can receive what goes there, so that the user is asked each time (RFC 8252 §8.6). */
export const asksAlways = (redirectUri: string): boolean =>
  isLoopback(redirectUri) || isAppScheme(redirectUri)
