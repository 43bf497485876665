import type { User } from '@ratchet/client'
import { useAuthClient } from '@ratchet/client/react'
import { Button, Card, Notice, Quiet, Strong, useAction } from './ui.tsx'

export function Account({ user }: { user: User }) {
  const { signOut } = useAuthClient()
  const { problem, isBusy, run } = useAction()
  return (
    <Card>
      {user.name && <Strong>{user.name}</Strong>}
      <Quiet>{user.email}</Quiet>
      {problem && <Notice>{problem}</Notice>}
      <Button label="Sign out" isBusy={isBusy} onPress={() => run(signOut)} />
    </Card>
  )
}
