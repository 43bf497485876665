import type { RestoredSessions } from '../../core/sessions/sessions.ts'

/** What a restore has changed, or would. */
export interface Restored {
  backupOf: Date
  sessions: RestoredSessions
  /** Replaced signing keys. */
  keys: number
  /** What users had taken back from clients after the backup, as Redis knows. */
  grants: number
  /** Only of what was done. */
  voided: { links: number; factorResets: number; mails: number } | undefined
  /** What nobody but the operator can do again, in sentences. */
  byHand: readonly string[]
}

export const presentRestored = ({ backupOf, sessions, keys, grants, voided, byHand }: Restored) => ({
  backup_of: backupOf.toISOString(),
  sessions_kept: sessions.kept,
  sessions_ended_before: Object.fromEntries(sessions.endings),
  sessions_ended: sessions.uncertain,
  sessions_begun_since: sessions.begunSince,
  people: sessions.people.size,
  keys_replaced: keys,
  grants_withdrawn: grants,
  ...(voided
    ? {
        links_voided: voided.links,
        factor_resets_withdrawn: voided.factorResets,
        mails_given_up: voided.mails,
      }
    : {}),
  by_hand: byHand,
})

/** The same as lines. */
export function describeRestored({ sessions, keys, grants, voided, byHand }: Restored): string {
  const endings = [...sessions.endings].map(([reason, count]) => `${reason} ${count}`).join(', ')
  return [
    `${counted(sessions.kept, 'session')} kept: Redis knows that they are live`,
    ...(endings ? [`had ended after the backup, as Redis knows: ${endings}`] : []),
    `${counted(sessions.uncertain, 'session')} of the backup ended: nobody knows whether they had ended since`,
    `${counted(sessions.begunSince, 'session')} ended that began after the backup`,
    `${sessions.people.size === 1 ? '1 person has' : `${sessions.people.size} people have`} to sign in again`,
    `${counted(keys, 'signing key')} replaced: access tokens are refused until clients refresh`,
    `${counted(grants, 'grant')} withdrawn again`,
    ...(voided
      ? [
          `${counted(voided.links, 'mailed link')} void`,
          `${counted(voided.factorResets, 'removal')} of second factors withdrawn`,
          `${counted(voided.mails, 'waiting mail')} given up`,
        ]
      : []),
    '',
    'To do by hand:',
    ...byHand.map((each) => `- ${each}`),
  ].join('\n')
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
