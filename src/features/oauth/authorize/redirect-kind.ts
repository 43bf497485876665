/** `http` on this machine, which any program of the machine can receive (RFC 8252 §8.3). */
export const isLoopback = (redirectUri: string): boolean => redirectUri.startsWith('http:')

/** Whether an app of the device is called by its own scheme. */
export const isAppScheme = (redirectUri: string): boolean => !/^https?:/i.test(redirectUri)

/** Another program can receive what goes there, so that the user is asked each time (RFC 8252 §8.6). */
export const asksAlways = (redirectUri: string): boolean =>
  isLoopback(redirectUri) || isAppScheme(redirectUri)
