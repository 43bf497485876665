import type { JWTPayload } from 'jose'
import {
  isBinding,
  isEpochSeconds,
  isVisibleText,
  type Principal,
  principalOf,
} from '../principals/principals.ts'

/**
 * The claims of a token whose signature, issuer and audience were verified, and who it identifies; null when a claim
 * does not have the form in which this server writes it. A signature proves that one of our keys made a token, not that
 * no faulty version and no thief has used the key: nothing may rely on a claim that did not pass here.
 */
export function readClaims<Claims>(payload: JWTPayload): { claims: Claims; principal: Principal } | null {
  const { aud, cnf, exp, iat, jti } = payload
  const principal = principalOf(payload)
  // An audience that is a list could name somebody else too.
  if (!principal || typeof aud !== 'string' || !isVisibleText(jti) || !isBinding(cnf)) return null
  return isEpochSeconds(exp) && isEpochSeconds(iat) ? { claims: payload as Claims, principal } : null
}
