import { badAnswerCases } from './browsers/cases/bad-answers.ts'
import { cookieCases } from './browsers/cases/cookies.ts'
import { chromium } from './browsers/chromium.ts'

cookieCases(chromium)
badAnswerCases(chromium)
