import type { AuthClient } from '@ratchet/client'
import { useAuthClient } from '@ratchet/client/react'
import { useEffect, useState } from 'react'
import { Button, Card, Notice, Quiet, Strong, useAction } from './ui.tsx'

type Sessions = Awaited<ReturnType<AuthClient['listSessions']>>

export function Sessions() {
  const { listSessions, endSession } = useAuthClient()
  const [sessions, setSessions] = useState<Sessions>([])
  const { problem, isBusy, run } = useAction()
  const load = async () => setSessions(await listSessions())
  // Once, when the screen is shown.
  useEffect(() => run(load), [])
  return (
    <>
      <Strong>Your sessions</Strong>
      {problem && <Notice>{problem}</Notice>}
      {sessions.map(({ id, current, user_agent, ip, last_used_at }) => (
        <Card key={id}>
          <Strong>{current ? 'This device' : deviceOf(user_agent)}</Strong>
          <Quiet>
            {ip}, last used {new Date(last_used_at).toLocaleString()}
          </Quiet>
          {!current && (
            <Button label="End" isBusy={isBusy} onPress={() => run(() => endSession(id).then(load))} />
          )}
        </Card>
      ))}
    </>
  )
}

const deviceOf = (userAgent: string | null) =>
  /iPhone|iPad|Android|Windows|Mac OS|Linux/.exec(userAgent ?? '')?.[0] ?? 'Another device'
