import type { AuthClient } from '@ratchet/client'
import { authPlugin, useAuth, useAuthClient } from '@ratchet/client/vue'
import { createApp, createSSRApp, defineComponent, h } from 'vue'
import { renderToString } from 'vue/server-renderer'

const Account = defineComponent(() => {
  const auth = useAuth()
  const { signOut } = useAuthClient()
  return () => {
    const state = auth.value
    if (state.status === 'loading') return h('p', 'One moment')
    if (state.status === 'signed_out')
      return h('p', state.reason ? `Signed out: ${state.reason}` : 'A visitor')
    return h('button', { onClick: () => void signOut() }, state.user.email)
  }
})

export const render = async (client: AuthClient) =>
  `<main>${await renderToString(createSSRApp(Account).use(authPlugin(client)))}</main>`

export async function mount(client: AuthClient, root: HTMLElement) {
  const app = root.firstChild ? createSSRApp(Account) : createApp(Account)
  app.use(authPlugin(client)).mount(root)
  return () => app.unmount()
}
