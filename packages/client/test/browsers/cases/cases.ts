import type { Driver } from '../driver.ts'
import { badAnswerCases } from './bad-answers.ts'
import { cookieCases } from './cookies.ts'
import { interruptionCases } from './interruptions.ts'
import { sessionCases } from './sessions.ts'

/** What the client promises, in one browser. */
export function testIn(driver: Driver): void {
  sessionCases(driver)
  interruptionCases(driver)
  cookieCases(driver)
  badAnswerCases(driver)
}
