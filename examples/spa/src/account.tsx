import { useAuth, useAuthClient } from '@ratchet/client/react'
import { Field, Form, Notice, useAction } from './ui.tsx'

export function Account() {
  const state = useAuth()
  const { updateUser, signOut, signOutEverywhere } = useAuthClient()
  const leaving = useAction()
  if (state.status !== 'signed_in') return null
  const { user } = state
  return (
    <>
      <section>
        <Form submit="Save" onSubmit={({ name = '' }) => updateUser({ name })}>
          <Field label="Name" name="name" defaultValue={user.name ?? ''} autoComplete="name" />
          <Field label="E-mail address" value={user.email} readOnly />
        </Form>
      </section>
      <section>
        <h2>Sign out</h2>
        {leaving.problem && <Notice>{leaving.problem}</Notice>}
        <div className="row">
          <button type="button" onClick={() => void leaving.run(signOut)}>
            Sign out
          </button>
          <button type="button" className="second" onClick={() => void leaving.run(signOutEverywhere)}>
            Sign out everywhere
          </button>
        </div>
      </section>
    </>
  )
}
