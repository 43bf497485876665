import { useAuthClient } from '@ratchet/client/react'
import { Notice, time, useAction, useAnswer } from './ui.tsx'
import { deviceOf, signedOutBecause } from './words.ts'

export function Sessions() {
  const { listSessions, endSession, endOtherSessions } = useAuthClient()
  const { answer: sessions = [], problem, reload } = useAnswer(() => listSessions({ ended: true }))
  const ending = useAction()
  const end = (action: () => Promise<unknown>) => void ending.run(() => action().then(reload))
  return (
    <>
      {(problem ?? ending.problem) && <Notice>{problem ?? ending.problem}</Notice>}
      <ul className="cards">
        {sessions.map((session) => (
          <li key={session.id} className={session.ended_at ? 'ended' : ''}>
            <div>
              <b>{deviceOf(session.user_agent)}</b>{' '}
              {session.current && <span className="badge">this device</span>}
              <p className="quiet">
                {session.ip}, since {time(session.created_at)}, last used {time(session.last_used_at)}
              </p>
              {session.ended_reason && <p className="quiet">{signedOutBecause(session.ended_reason)}</p>}
            </div>
            {!session.ended_at && !session.current && (
              <button type="button" className="second" onClick={() => end(() => endSession(session.id))}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      <button type="button" className="second" onClick={() => end(endOtherSessions)}>
        End all others
      </button>
    </>
  )
}
