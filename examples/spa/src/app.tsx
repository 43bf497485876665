import { useAuth } from '@ratchet/client/react'
import { useState } from 'react'
import { Account } from './account.tsx'
import { Activity } from './activity.tsx'
import { CallApi } from './call-api.tsx'
import { Factors } from './factors.tsx'
import { Grants } from './grants.tsx'
import { Sessions } from './sessions.tsx'
import { SignIn } from './sign-in.tsx'
import { SignUp } from './sign-up.tsx'
import { Notice } from './ui.tsx'
import { signedOutBecause } from './words.ts'

const PAGES = {
  Account,
  Sessions,
  Security: Factors,
  Apps: Grants,
  Activity,
  'Call the API': CallApi,
}
type PageName = keyof typeof PAGES

export function App() {
  const state = useAuth()
  if (state.status === 'loading') {
    return (
      <main className="narrow">
        <p role="status">{state.problem ? 'The server cannot be reached. Trying again …' : 'One moment …'}</p>
      </main>
    )
  }
  if (state.status === 'signed_out') return <Visitor reason={state.reason} />
  return <Member />
}

function Visitor({ reason }: { reason?: string | undefined }) {
  const [isNew, setNew] = useState(false)
  return (
    <main className="narrow">
      <h1>Tea House</h1>
      {reason && <Notice>{signedOutBecause(reason)}</Notice>}
      {isNew ? <SignUp /> : <SignIn />}
      <p className="quiet">
        {isNew ? 'You have an account?' : 'You are new here?'}{' '}
        <button type="button" className="link" onClick={() => setNew(!isNew)}>
          {isNew ? 'Sign in' : 'Create an account'}
        </button>
      </p>
    </main>
  )
}

function Member() {
  const [page, setPage] = useState<PageName>('Account')
  const Page = PAGES[page]
  return (
    <div className="member">
      <nav aria-label="Pages">
        <strong>Tea House</strong>
        {(Object.keys(PAGES) as PageName[]).map((name) => (
          <button
            type="button"
            key={name}
            aria-current={name === page ? 'page' : undefined}
            onClick={() => setPage(name)}
          >
            {name}
          </button>
        ))}
      </nav>
      <main>
        <h1>{page}</h1>
        <Page />
      </main>
    </div>
  )
}
