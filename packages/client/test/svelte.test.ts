import t from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { authStore } from '../src/svelte.ts'
import { openDevice } from './support.ts'

const server = await startServer(t)

t.test('a store shows what is, and what changes, until it is left', async (t) => {
  const { client } = openDevice(t, server)
  const shown: string[] = []
  const leave = authStore(client).subscribe(({ status }) => shown.push(status))
  await client.getUser()
  await client.signIn(await server.createAccount())
  t.strictSame(shown, ['loading', 'signed_out', 'signed_in'])
  leave()
  await client.signOut()
  t.equal(shown.length, 3)
})
