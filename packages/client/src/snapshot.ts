import type { ClientError, EndedReason } from './client-error.ts'
import type { Session, User } from './tokens.ts'

/** Who is signed in. The same object until something changes. */
export type Snapshot =
  /** Not known yet; `problem` says why, while the client goes on trying. */
  | { status: 'loading'; problem?: ClientError }
  /** `reason` if a session has ended here. */
  | { status: 'signed_out'; reason?: EndedReason }
  | { status: 'signed_in'; user: User; session: Session }
