import type { TestServer } from './server.ts'

/** Signs in, and runs `effect` between the check of the password and what follows it. */
export async function duringSignIn(
  server: TestServer,
  account: { email: string; password: string },
  effect: () => Promise<unknown>,
) {
  const { passwords } = server.app.services
  const { admit } = passwords
  passwords.admit = (client, task) =>
    admit(client, (hashing) =>
      task({
        ...hashing,
        async verify(...given) {
          const fits = await hashing.verify(...given)
          await effect()
          return fits
        },
      }),
    )
  try {
    return await server.post('/auth/login', account)
  } finally {
    passwords.admit = admit
  }
}
