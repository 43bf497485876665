import {
  DestroyRef,
  type EnvironmentProviders,
  InjectionToken,
  inject,
  makeEnvironmentProviders,
  PLATFORM_ID,
  type Signal,
  signal,
} from '@angular/core'
import type { AuthClient, Snapshot } from './index.ts'

const CLIENT = new InjectionToken<AuthClient>('ratchet: provideAuth(client) provides it')
// What is rendered on a server belongs to nobody: the browser finds out who is signed in.
const ON_SERVER: Snapshot = { status: 'loading' }

/** One of the providers of `bootstrapApplication`, or of a route. */
export const provideAuth = (client: AuthClient): EnvironmentProviders =>
  makeEnvironmentProviders([{ provide: CLIENT, useValue: client }])

export const injectAuthClient = (): AuthClient => inject(CLIENT)

/** Who is signed in, until the component or injector is destroyed. */
export function injectAuth(): Signal<Snapshot> {
  const client = injectAuthClient()
  if (inject(PLATFORM_ID) === 'server') return signal(ON_SERVER).asReadonly()
  const state = signal(client.getSnapshot())
  inject(DestroyRef).onDestroy(client.subscribe(() => state.set(client.getSnapshot())))
  return state.asReadonly()
}
