import { AuthProvider, useAuth } from '@ratchet/client/react'
import { ScrollView } from 'react-native'
import { SafeAreaProvider, SafeAreaView } from 'react-native-safe-area-context'
import { Account } from './account.tsx'
// Without an ending: it is another file in a browser.
import { auth } from './auth'
import { Sessions } from './sessions.tsx'
import { SignIn } from './sign-in.tsx'
import { Notice, Quiet, Title, useColors } from './ui.tsx'

export function App() {
  const { ground } = useColors()
  return (
    <AuthProvider client={auth}>
      <SafeAreaProvider>
        <SafeAreaView style={{ flex: 1, backgroundColor: ground }}>
          <ScrollView
            keyboardShouldPersistTaps="handled"
            contentContainerStyle={{
              padding: 20,
              gap: 16,
              width: '100%',
              maxWidth: 480,
              alignSelf: 'center',
            }}
          >
            <Title>Tea House</Title>
            <Screen />
          </ScrollView>
        </SafeAreaView>
      </SafeAreaProvider>
    </AuthProvider>
  )
}

function Screen() {
  const state = useAuth()
  if (state.status === 'loading') {
    return <Quiet>{state.problem ? 'The server cannot be reached. Trying again …' : 'One moment …'}</Quiet>
  }
  if (state.status === 'signed_in') {
    return (
      <>
        <Account user={state.user} />
        <Sessions />
      </>
    )
  }
  return (
    <>
      {state.reason && <Notice>{ENDED[state.reason] ?? 'Your session has ended. Sign in again.'}</Notice>}
      <SignIn />
    </>
  )
}

const ENDED: Record<string, string> = {
  logout: 'You have signed out.',
  logout_all: 'You have signed out on all devices.',
  revoked: 'This session was ended on another device of yours.',
  expired: 'You were away for a long time. Sign in again.',
  password_changed: 'Your password was changed, so you have to sign in again.',
}
