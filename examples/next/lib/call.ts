import { readAccessToken, readEndedReason, readSession } from '@ratchet/client/next'
import { headers } from 'next/headers'
import { redirect } from 'next/navigation'
import { ratchet } from './ratchet.ts'

/**
 * Asks an API for the person for whom the page at `path` is rendered. It never refreshes: the proxy has done that.
 * A visitor gets to the sign-in page.
 */
export async function call<Answer>(url: string, path: string): Promise<Answer> {
  const asked = await headers()
  const accessToken = readAccessToken(ratchet, asked)
  if (!accessToken) {
    // Fails while the server is away: that is no reason to sign in again.
    if (await readSession(ratchet, asked)) throw new Error('The session could not be renewed')
    signIn(path, readEndedReason(asked))
  }
  const answer = await fetch(url, { headers: { authorization: `Bearer ${accessToken}` }, cache: 'no-store' })
  if (answer.ok) return answer.json()
  const { code, reason } = await answer.json()
  if (code === 'session_ended') signIn(path, reason)
  throw new Error(`${url} answered ${answer.status}`)
}

function signIn(path: string, reason: string | undefined): never {
  redirect(`/sign-in?${new URLSearchParams({ to: path, ...(reason ? { reason } : {}) })}`)
}
