'use client'

import { useState } from 'react'
import { auth } from '../lib/auth.ts'

export function SignOut() {
  const [hasFailed, setFailed] = useState(false)
  async function leave() {
    try {
      await auth.signOut()
      // A whole page: what the router has kept of the account is gone.
      location.assign('/sign-in?reason=logout')
    } catch {
      setFailed(true)
    }
  }
  return (
    <>
      {hasFailed && (
        <p className="notice" role="alert">
          The server could not be told, so you are still signed in. Try again.
        </p>
      )}
      <button type="button" onClick={() => void leave()}>
        Sign out
      </button>
    </>
  )
}
