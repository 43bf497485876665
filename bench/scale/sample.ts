import { createHash } from 'node:crypto'
import { FIRST_PARTY_CLIENT } from '../../src/core/clients/clients.ts'
import { createRefreshTokenFormat } from '../../src/core/sessions/rotation/token.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { FAMILY_LABEL } from './rows.ts'
import type { Size } from './size.ts'

/** A live session that the generator made, and its account. */
export interface Sampled {
  sessionId: string
  userId: string
  email: string
  familyHash: string
  refreshToken: string
  /** Signs a new access token of the session. */
  accessToken(): string
}

const HOUR_MS = 3_600_000
const MAX_TRIES = 50

/** Draws live sessions of different accounts, evenly over the whole table; their pages are then in memory. */
export async function drawSessions(size: Size, count: number, taken: Set<string>): Promise<Sampled[]> {
  const { encode } = createRefreshTokenFormat(createSecrets([size.env.APP_SECRETS as string]))
  const sampled: Sampled[] = []
  for (let tries = 0; sampled.length < count; tries++) {
    if (tries === MAX_TRIES) throw new Error(`${size.name} has too few live sessions: ask for a larger size`)
    const families = new Map(
      Array.from({ length: count }, () => {
        const n = Math.floor(Math.random() * size.sessions)
        const family = createHash('md5').update(`${FAMILY_LABEL}${n}`).digest()
        const hash = createHash('sha256').update(family).digest()
        return [hash.toString('base64url'), { family, hash }] as const
      }),
    )
    const { rows } = await size.statistics.client.query(
      `SELECT /* bench */ s.id, s.family_hash, s.generation, s.user_id, u.email, (SELECT count(*) FROM sessions o WHERE o.user_id = u.id),
         (SELECT count(ip) FROM audit_events e WHERE e.user_id = u.id), (SELECT count(*) FROM known_devices d WHERE d.user_id = u.id)
       FROM sessions s JOIN users u ON u.id = s.user_id
       WHERE s.family_hash = ANY ($1) AND s.ended_at IS NULL AND s.client_id = '${FIRST_PARTY_CLIENT}' AND u.roles = '{}'
         AND LEAST(s.idle_expires_at, s.absolute_expires_at) > $2
         AND NOT EXISTS (SELECT FROM totp_factors t WHERE t.user_id = u.id)
         AND NOT EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id)`,
      [[...families.values()].map(({ hash }) => hash), new Date(Date.now() + HOUR_MS)],
    )
    for (const row of rows) {
      const familyHash = (row.family_hash as Buffer).toString('base64url')
      const family = families.get(familyHash)?.family
      if (!family || taken.has(row.user_id) || sampled.length >= count) continue
      taken.add(row.user_id)
      const claims = {
        ...{
          sub: row.user_id as string,
          sid: row.id as string,
          client_id: FIRST_PARTY_CLIENT,
          scope: 'account',
        },
        ...{ roles: [], auth_time: Math.floor(Date.now() / 1000), amr: ['pwd', 'otp', 'mfa'] },
      }
      sampled.push({
        sessionId: row.id,
        userId: row.user_id,
        email: row.email,
        familyHash,
        refreshToken: encode(family, row.generation),
        accessToken: () => size.signer.sign(claims, Number.POSITIVE_INFINITY).accessToken,
      })
    }
  }
  return sampled
}

/** Makes the account of a session an administrator. */
export async function promote(size: Size, { userId }: Sampled): Promise<void> {
  await size.statistics.client.query(`UPDATE /* bench */ users SET roles = '{admin}' WHERE id = $1`, [userId])
}
