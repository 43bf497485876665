import { testIn } from './browsers/cases/cases.ts'
import { chromium } from './browsers/chromium.ts'

testIn(chromium)
