import { createContext, createElement, type ReactNode, useContext, useSyncExternalStore } from 'react'
import type { AuthClient, Snapshot } from './index.ts'

const Context = createContext<AuthClient | null>(null)
// What is rendered on a server belongs to nobody: the browser finds out who is signed in.
const ON_SERVER: Snapshot = { status: 'loading' }

export const AuthProvider = ({ client, children }: { client: AuthClient; children?: ReactNode }) =>
  createElement(Context.Provider, { value: client }, children)

export function useAuthClient(): AuthClient {
  const client = useContext(Context)
  if (!client) throw new Error('useAuthClient needs an AuthProvider around it')
  return client
}

/** Who is signed in; renders again whenever that changes. */
export function useAuth(): Snapshot {
  const { subscribe, getSnapshot } = useAuthClient()
  return useSyncExternalStore(subscribe, getSnapshot, () => ON_SERVER)
}
