import { userInfo } from 'node:os'
import type { RequestContext } from '../core/events/events.ts'

/** Who runs a command, as audit events name it. */
export const operatorName = (): string => `command line (${userName()})`

/** Where a command comes from. */
export const OPERATOR_CONTEXT: RequestContext = {
  ip: 'command line',
  userAgent: undefined,
  requestId: 'command line',
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // In a container the user often has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
