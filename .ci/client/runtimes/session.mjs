// Signs in, refreshes and signs out, wherever it is imported. It uses nothing but what every runtime has.

/** @returns what has happened, in words that a test compares. */
export async function useSession({ module, baseUrl, transport, account }) {
  const { createAuthClient } = await import(module)
  const items = new Map()
  const storage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  }
  let ahead = 0
  const clocks = () => [performance.now() + ahead, Date.now() + ahead]
  const options = { baseUrl, transport, storage, clocks }
  let auth = createAuthClient(options)
  const shown = []
  auth.subscribe(() => shown.push(auth.getSnapshot().status))
  const before = await auth.getUser()
  const { status } = await auth.signIn(account)
  const first = await auth.getAccessToken()
  ahead += 3_600_000
  const second = await auth.getAccessToken()
  const me = await (await auth.fetch(`${baseUrl}/me`)).json()
  auth.dispose()

  auth = createAuthClient(options)
  const restarted = await auth.getUser()
  await auth.signOut()
  const after = auth.getSnapshot()
  const refused = await auth.getAccessToken().catch((error) => error.code)
  auth.dispose()
  return {
    before,
    status,
    shown: shown.join(' '),
    isRefreshed: first !== second,
    me: me.email,
    restarted: restarted.email,
    after,
    refused,
  }
}
