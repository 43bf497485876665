import { fileURLToPath } from 'node:url'
import type { NextConfig } from 'next'

const config: NextConfig = {
  poweredByHeader: false,
  // The client package lies outside of this folder. An app that installs it needs neither.
  turbopack: { root: fileURLToPath(new URL('../..', import.meta.url)) },
}
export default config
