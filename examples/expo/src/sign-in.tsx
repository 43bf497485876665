import { useAuthClient } from '@ratchet/client/react'
import { useState } from 'react'
import { Button, Field, Notice, useAction } from './ui.tsx'

export function SignIn() {
  const { signIn, completeSignIn } = useAuthClient()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [code, setCode] = useState('')
  const [mfaToken, setMfaToken] = useState<string>()
  const { problem, isBusy, run } = useAction()

  async function send() {
    const step = await (mfaToken ? completeSignIn(mfaToken, { code }) : signIn({ email, password }))
    if (step.status === 'second_step') setMfaToken(step.mfaToken)
  }

  return (
    <>
      {problem && <Notice>{problem}</Notice>}
      {mfaToken ? (
        <Field
          label="Code of your authenticator app"
          value={code}
          onChangeText={setCode}
          keyboardType="number-pad"
          autoComplete="one-time-code"
        />
      ) : (
        <>
          <Field
            label="E-mail address"
            value={email}
            onChangeText={setEmail}
            keyboardType="email-address"
            autoCapitalize="none"
            autoComplete="username"
          />
          <Field
            label="Password"
            value={password}
            onChangeText={setPassword}
            secureTextEntry
            autoCapitalize="none"
            autoComplete="current-password"
          />
        </>
      )}
      <Button label={mfaToken ? 'Continue' : 'Sign in'} isBusy={isBusy} onPress={() => run(send)} />
    </>
  )
}
