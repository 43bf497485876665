// `npm run browsers` installs what this needs.
import { testIn } from './browsers/cases/cases.ts'
import { firefox } from './browsers/firefox.ts'

testIn(firefox)
