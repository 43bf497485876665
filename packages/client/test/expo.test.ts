import t from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { createExpoClient } from '../src/expo.ts'
import { deviceStorage, movableClocks, network } from './support.ts'

const server = await startServer(t)

t.test('the key store has the token, and the app renews when it comes to the front', async (t) => {
  const device = deviceStorage()
  const secureStore = {
    async getItemAsync(key: string) {
      // As expo-secure-store does.
      if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key provided to SecureStore: ${key}`)
      return device.getItem(key)
    },
    setItemAsync: (key: string, value: string) => device.setItem(key, value),
    deleteItemAsync: (key: string) => device.removeItem(key),
  }
  const listeners = new Set<(state: string) => void>()
  const appState = {
    addEventListener(_type: 'change', listener: (state: string) => void) {
      listeners.add(listener)
      return { remove: () => void listeners.delete(listener) }
    },
  }
  const net = network()
  const time = movableClocks()
  const open = () =>
    createExpoClient({ baseUrl: server.url, secureStore, appState, fetch: net.fetch, clocks: time.clocks })
  const account = await server.createAccount()
  const client = open()
  await client.signIn(account)
  t.match(device.kept(), { token: /^rt1_/ })

  const renewed = new Promise<void>((resolve) => {
    net.meddle = async (ask) => {
      const answer = await ask()
      resolve()
      return answer
    }
  })
  time.pass(600)
  for (const listener of listeners) listener('background')
  t.equal(net.refreshes(), 0)
  for (const listener of listeners) listener('active')
  await renewed
  t.equal(net.refreshes(), 1)
  client.dispose()
  t.equal(listeners.size, 0)

  const again = open()
  t.teardown(async () => again.dispose())
  t.match(await again.getUser(), { email: account.email })
})
