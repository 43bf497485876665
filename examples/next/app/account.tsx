import { call } from '../lib/call.ts'
import { ratchet } from '../lib/ratchet.ts'

interface User {
  name: string | null
  email: string
  mfa_enabled: boolean
  created_at: string
}

export async function Account() {
  const user = await call<User>(`${ratchet.baseUrl}/me`, '/')
  return (
    <section>
      <h2>Your account</h2>
      <dl>
        <dt>Name</dt>
        <dd>{user.name ?? 'none'}</dd>
        <dt>E-mail address</dt>
        <dd>{user.email}</dd>
        <dt>Second factor</dt>
        <dd>{user.mfa_enabled ? 'yes' : 'no'}</dd>
        <dt>Since</dt>
        <dd>{user.created_at.slice(0, 10)}</dd>
      </dl>
    </section>
  )
}
