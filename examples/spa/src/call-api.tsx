import { useAuthClient } from '@ratchet/client/react'
import { useEffect, useState } from 'react'
import { API_URL } from './auth.ts'
import { Notice, useAction } from './ui.tsx'

/** Seconds until an access token expires, by its claims. */
const secondsOf = (token: string) =>
  JSON.parse(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'))).exp -
  Date.now() / 1_000

export function CallApi() {
  const { fetch, getAccessToken } = useAuthClient()
  const [said, setSaid] = useState<string>()
  const [seconds, setSeconds] = useState<number>()
  const { problem, isBusy, run } = useAction()
  useEffect(() => {
    const show = () =>
      void getAccessToken().then(
        (token) => setSeconds(Math.round(secondsOf(token))),
        () => {},
      )
    show()
    const timer = setInterval(show, 1_000)
    return () => clearInterval(timer)
  }, [getAccessToken])
  const call = async () => {
    const answer = await fetch(`${API_URL}/teas`)
    setSaid(`${answer.status} ${JSON.stringify(await answer.json(), null, 2)}`)
  }
  return (
    <>
      {problem && <Notice>{problem}</Notice>}
      <p>
        The access token is in memory only. {seconds !== undefined && `It expires in ${seconds} s`}, and is
        renewed before.
      </p>
      <button type="button" disabled={isBusy} onClick={() => void run(call)}>
        Ask {API_URL} for teas
      </button>
      {said && <pre>{said}</pre>}
    </>
  )
}
