import { localPath } from '../../lib/local-path.ts'
import { SignIn } from './sign-in.tsx'

const ENDED: Record<string, string> = {
  logout: 'You have signed out.',
  logout_all: 'You have signed out on all devices.',
  revoked: 'This session was ended on another device of yours.',
  expired: 'You were away for a long time. Sign in again.',
  password_changed: 'Your password was changed, so you have to sign in again.',
}

interface Props {
  searchParams: Promise<{ to?: string | string[]; reason?: string | string[] }>
}

export default async function Page({ searchParams }: Props) {
  const { to, reason } = await searchParams
  return (
    <div className="narrow">
      <h1>Tea House</h1>
      {reason && (
        <p className="notice" role="status">
          {ENDED[String(reason)] ?? 'Your session has ended. Sign in again.'}
        </p>
      )}
      <SignIn to={localPath(to)} />
    </div>
  )
}
