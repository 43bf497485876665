'use client'

import { ClientError, type SignIn as Step } from '@ratchet/client'
import { type FormEvent, useState } from 'react'
import { auth } from '../../lib/auth.ts'

const WORDS: Record<string, string> = {
  offline: 'The server cannot be reached. Check the connection and try again.',
  bad_response: 'The server cannot be reached. Try again in a moment.',
  cookies_blocked: 'This browser kept no cookie. Allow cookies for this page.',
  invalid_credentials: 'The e-mail address or the password is wrong.',
  mfa_invalid: 'This code is wrong or was used before.',
  too_many_attempts: 'Too many attempts. Wait a little and try again.',
}

/** `to` is a path of this app. */
export function SignIn({ to }: { to: string }) {
  const [mfaToken, setMfaToken] = useState<string>()
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)

  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const { email, password, code } = Object.fromEntries(new FormData(event.currentTarget)) as Record<
      string,
      string
    >
    setBusy(true)
    setProblem(undefined)
    try {
      const step: Step = mfaToken
        ? await auth.completeSignIn(mfaToken, { code: code ?? '' })
        : await auth.signIn({ email: email ?? '', password: password ?? '' })
      // A whole page, which the server renders for this person.
      if (step.status === 'signed_in') return location.assign(to)
      setMfaToken(step.mfaToken)
    } catch (error) {
      setProblem(error instanceof ClientError ? (WORDS[error.code] ?? error.message) : String(error))
    }
    setBusy(false)
  }

  return (
    // Until its script has run, a form would send the password as a part of the address.
    <form method="post" onSubmit={(event) => void send(event)}>
      {problem && (
        <p className="notice" role="alert">
          {problem}
        </p>
      )}
      {mfaToken ? (
        <label>
          Code of your authenticator app
          <input key="code" name="code" inputMode="numeric" autoComplete="one-time-code" required />
        </label>
      ) : (
        <>
          <label>
            E-mail address
            <input name="email" type="email" autoComplete="username" required />
          </label>
          <label>
            Password
            <input name="password" type="password" autoComplete="current-password" required />
          </label>
        </>
      )}
      <button type="submit" disabled={isBusy}>
        {mfaToken ? 'Continue' : 'Sign in'}
      </button>
    </form>
  )
}
