import { interruptionCases } from './browsers/cases/interruptions.ts'
import { sessionCases } from './browsers/cases/sessions.ts'
import { chromium } from './browsers/chromium.ts'

sessionCases(chromium)
interruptionCases(chromium)
