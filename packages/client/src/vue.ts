import {
  getCurrentInstance,
  type InjectionKey,
  inject,
  onMounted,
  onScopeDispose,
  type Plugin,
  type ShallowRef,
  shallowReadonly,
  shallowRef,
  ssrContextKey,
} from 'vue'
import type { AuthClient, Snapshot } from './index.ts'

const KEY: InjectionKey<AuthClient> = Symbol('ratchet')
// What is rendered on a server belongs to nobody: the browser finds out who is signed in.
const ON_SERVER: Snapshot = { status: 'loading' }

/** `app.use(authPlugin(client))` */
export const authPlugin = (client: AuthClient): Plugin => ({
  install: (app) => void app.provide(KEY, client),
})

export function useAuthClient(): AuthClient {
  const client = inject(KEY, null)
  if (!client) throw new Error('useAuthClient needs an app that uses authPlugin')
  return client
}

/** Who is signed in, until the component or scope ends. */
export function useAuth(): Readonly<ShallowRef<Snapshot>> {
  const client = useAuthClient()
  if (inject<unknown>(ssrContextKey, null)) return shallowRef(ON_SERVER)
  // A page of a server has an element already, and has to be the same until it is mounted.
  const isHydrating = Boolean(getCurrentInstance()?.vnode.el)
  const state = shallowRef(isHydrating ? ON_SERVER : client.getSnapshot())
  const show = () => {
    state.value = client.getSnapshot()
  }
  onScopeDispose(client.subscribe(show))
  if (isHydrating) onMounted(show)
  return shallowReadonly(state)
}
