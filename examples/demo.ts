// `npm run demo`: the development server, an API, and two apps that use both, each on an origin of its own.
import { startParts, URLS } from './parts.ts'

const demo = startParts(['server', 'api', 'spa', 'next'])
// Ctrl-C reaches all of them by itself.
process.on('SIGINT', () => {})
process.on('SIGTERM', demo.stop)

if (await demo.ready) {
  console.log(`
  The demo is ready. Sign in as demo@example.com / correct horse battery

  Single-page app    ${URLS.spa}
  Next app           ${URLS.next}
  API                ${URLS.api}/teas
  Server             ${URLS.server}/docs
  Expo app           npm ci --prefix examples/expo && npm start --prefix examples/expo
`)
}
