import { type AuthClient, type ClientOptions, createAuthClient } from './index.ts'

/** What is used of `expo-secure-store`: the key store of the device, which may be locked. */
export interface SecureStore {
  getItemAsync(key: string): Promise<string | null>
  setItemAsync(key: string, value: string): Promise<void>
  deleteItemAsync(key: string): Promise<void>
}

/** What is used of React Native's `AppState`. */
export interface AppState {
  addEventListener(type: 'change', listener: (state: string) => void): { remove(): void }
}

export interface ExpoOptions extends Omit<ClientOptions, 'transport' | 'storage'> {
  secureStore: SecureStore
  appState: AppState
}

/**
 * A client of an app of a device: its refresh token is in the key store, and it renews when the app comes to the front.
 *
 * @example
 * import * as SecureStore from 'expo-secure-store'
 * import { AppState } from 'react-native'
 * const auth = createExpoClient({ baseUrl, secureStore: SecureStore, appState: AppState })
 */
export function createExpoClient({ secureStore, appState, ...options }: ExpoOptions): AuthClient {
  const client = createAuthClient({
    ...options,
    transport: 'body',
    storage: {
      getItem: (key) => secureStore.getItemAsync(key),
      setItem: (key, value) => secureStore.setItemAsync(key, value),
      removeItem: (key) => secureStore.deleteItemAsync(key),
    },
  })
  const listening = appState.addEventListener('change', (state) => {
    if (state === 'active') client.resume()
  })
  return {
    ...client,
    dispose() {
      listening.remove()
      client.dispose()
    },
  }
}
