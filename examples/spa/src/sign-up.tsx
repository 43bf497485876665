import { useAuthClient } from '@ratchet/client/react'
import { useState } from 'react'
import { AUTH_URL } from './auth.ts'
import { Field, Form } from './ui.tsx'

export function SignUp() {
  const { signUp } = useAuthClient()
  const [email, setEmail] = useState<string>()
  if (email) {
    return (
      <>
        <p>
          We have mailed a link to <b>{email}</b>. Open it in this browser, then sign in.
        </p>
        <p>
          <a href={`${AUTH_URL}/dev/inbox`} target="_blank" rel="noreferrer">
            The development server keeps its mail here
          </a>
        </p>
      </>
    )
  }
  return (
    <Form
      submit="Create the account"
      onSubmit={async ({ email = '', password = '', name = '' }) => {
        await signUp({ email, password, ...(name ? { name } : {}) })
        setEmail(email)
      }}
    >
      <Field label="Name" name="name" autoComplete="name" required={false} />
      <Field label="E-mail address" name="email" type="email" autoComplete="username" />
      <Field label="Password" name="password" type="password" autoComplete="new-password" minLength={12} />
    </Form>
  )
}
