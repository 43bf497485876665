import { noOpenssl } from '../../../../../test/support/certificates.ts'
import type { Driver } from '../driver.ts'
import { badAnswerCases } from './bad-answers.ts'
import { cookieCases } from './cookies.ts'
import { interruptionCases } from './interruptions.ts'
import { sessionCases } from './sessions.ts'

/** What the client promises, in one browser. */
export function testIn(driver: Driver): void {
  const skip = driver.missing || noOpenssl
  sessionCases(driver, skip)
  interruptionCases(driver, skip)
  cookieCases(driver, skip)
  badAnswerCases(driver, skip)
}
