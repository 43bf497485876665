import { createExpoClient } from '@ratchet/client/expo'
import * as SecureStore from 'expo-secure-store'
import { AppState } from 'react-native'
import { AUTH_URL } from './server.ts'

/** The refresh token is in the key store of the device; the session is renewed when the app comes to the front. */
export const auth = createExpoClient({ baseUrl: AUTH_URL, secureStore: SecureStore, appState: AppState })
