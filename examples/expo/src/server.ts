/** A device does not know the `localhost` of the machine that serves it: set the address in its network. */
export const AUTH_URL = process.env.EXPO_PUBLIC_AUTH_URL ?? 'http://localhost:8080'
