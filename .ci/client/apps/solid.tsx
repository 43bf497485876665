/** @jsxImportSource solid-js */
import type { AuthClient } from '@ratchet/client'
import { AuthProvider, useAuth, useAuthClient } from '@ratchet/client/solid'
import { Match, Switch } from 'solid-js'
import { generateHydrationScript, hydrate, render as renderTo, renderToString } from 'solid-js/web'

function Account() {
  const auth = useAuth()
  const { signOut } = useAuthClient()
  const user = () => {
    const state = auth()
    return state.status === 'signed_in' && state.user
  }
  const reason = () => {
    const state = auth()
    return state.status === 'signed_out' && state.reason
  }
  return (
    <Switch fallback={<p>One moment</p>}>
      <Match when={user()}>
        {(user) => (
          <button type="button" onClick={() => void signOut()}>
            {user().email}
          </button>
        )}
      </Match>
      <Match when={auth().status === 'signed_out'}>
        <p>{reason() ? `Signed out: ${reason()}` : 'A visitor'}</p>
      </Match>
    </Switch>
  )
}

const App = (props: { client: AuthClient }) => (
  <AuthProvider client={props.client}>
    <Account />
  </AuthProvider>
)

export const render = async (client: AuthClient) =>
  `${generateHydrationScript()}<main>${renderToString(() => <App client={client} />)}</main>`

export const mount = async (client: AuthClient, root: HTMLElement) =>
  (root.firstChild ? hydrate : renderTo)(() => <App client={client} />, root)
