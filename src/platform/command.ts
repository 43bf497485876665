const RATCHET = import.meta.url.endsWith('.ts') ? 'npm run ratchet --' : 'node dist/cli/main.js'

/** How to run a command of the CLI here: with npm in a checkout, with Node in a build. */
export const called = (command: string): string => `${RATCHET} ${command}`
