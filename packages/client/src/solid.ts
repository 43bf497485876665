import {
  type Accessor,
  createComponent,
  createContext,
  createSignal,
  type JSX,
  onCleanup,
  onMount,
  sharedConfig,
  useContext,
} from 'solid-js'
import type { AuthClient, Snapshot } from './index.ts'

const Context = createContext<AuthClient>()
// What is rendered on a server belongs to nobody: the browser finds out who is signed in.
const ON_SERVER: Snapshot = { status: 'loading' }

export const AuthProvider = (props: { client: AuthClient; children?: JSX.Element }): JSX.Element =>
  createComponent(Context.Provider, {
    value: props.client,
    get children() {
      return props.children
    },
  })

export function useAuthClient(): AuthClient {
  const client = useContext(Context)
  if (!client) throw new Error('useAuthClient needs an AuthProvider around it')
  return client
}

/** Who is signed in, until its owner is disposed of. */
export function useAuth(): Accessor<Snapshot> {
  const client = useAuthClient()
  // There is such a context on a server, and while a browser takes over what a server has rendered.
  const [state, setState] = createSignal(sharedConfig.context ? ON_SERVER : client.getSnapshot())
  const show = () => void setState(client.getSnapshot())
  // Not on a server.
  onMount(() => {
    show()
    onCleanup(client.subscribe(show))
  })
  return state
}
