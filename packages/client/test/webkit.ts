// `npm run browsers` runs this.
import { testIn } from './browsers/cases/cases.ts'
import { webkit } from './browsers/webkit.ts'

testIn(webkit)
