import type { SignIn as Step } from '@ratchet/client'
import { useAuthClient } from '@ratchet/client/react'
import { useState } from 'react'
import { Field, Form, Notice, useAction } from './ui.tsx'

type SecondStep = Extract<Step, { status: 'second_step' }>

export function SignIn() {
  const { signIn, signInWithPasskey } = useAuthClient()
  const [second, setSecond] = useState<SecondStep>()
  const passkey = useAction()
  const go = async (step: Promise<Step>) => {
    const result = await step
    if (result.status === 'second_step') setSecond(result)
  }
  if (second) return <SecondFactor step={second} />
  return (
    <>
      <Form submit="Sign in" onSubmit={({ email = '', password = '' }) => go(signIn({ email, password }))}>
        <Field label="E-mail address" name="email" type="email" autoComplete="username" />
        <Field label="Password" name="password" type="password" autoComplete="current-password" />
      </Form>
      {passkey.problem && <Notice>{passkey.problem}</Notice>}
      <button
        type="button"
        className="second"
        disabled={passkey.isBusy}
        onClick={() => void passkey.run(() => go(signInWithPasskey()))}
      >
        Use a passkey
      </button>
    </>
  )
}

function SecondFactor({ step: { mfaToken, methods } }: { step: SecondStep }) {
  const { completeSignIn, signInWithPasskey } = useAuthClient()
  const [isRecovery, setRecovery] = useState(!methods.includes('totp'))
  const passkey = useAction()
  return (
    <>
      <Form
        submit="Continue"
        onSubmit={({ code = '' }) =>
          completeSignIn(mfaToken, isRecovery ? { recovery_code: code } : { code })
        }
      >
        <Field
          key={String(isRecovery)}
          label={isRecovery ? 'Recovery code' : 'Code of your authenticator app'}
          name="code"
          inputMode={isRecovery ? 'text' : 'numeric'}
          autoComplete="one-time-code"
          autoFocus
        />
      </Form>
      {methods.includes('passkey') && (
        <button
          type="button"
          className="second"
          onClick={() => void passkey.run(() => signInWithPasskey(mfaToken))}
        >
          Use a passkey
        </button>
      )}
      {passkey.problem && <Notice>{passkey.problem}</Notice>}
      {methods.includes('totp') && (
        <button type="button" className="link" onClick={() => setRecovery(!isRecovery)}>
          {isRecovery ? 'Use the authenticator app' : 'Use a recovery code'}
        </button>
      )}
    </>
  )
}
