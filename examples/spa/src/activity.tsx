import { useAuthClient } from '@ratchet/client/react'
import { Notice, time, useAnswer } from './ui.tsx'
import { deviceOf } from './words.ts'

export function Activity() {
  const { listActivity } = useAuthClient()
  const { answer, problem } = useAnswer(() => listActivity({ limit: 30 }))
  if (problem) return <Notice>{problem}</Notice>
  return (
    <ul className="cards">
      {answer?.events.map((event) => (
        <li key={event.id}>
          <div>
            <b>{event.type.replaceAll('_', ' ')}</b>
            {event.outcome === 'failure' && <span className="badge warning">{event.reason ?? 'failed'}</span>}
            <p className="quiet">
              {time(event.at)}, {event.ip}, {deviceOf(event.user_agent)}
            </p>
          </div>
        </li>
      ))}
    </ul>
  )
}
