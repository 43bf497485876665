const RATCHET = import.meta.url.endsWith('.ts') ? 'npm run ratchet --' : 'node dist/cli/main.js'

/** How a command is called here: by npm in a checkout, by Node where only what was built is there. */
export const called = (command: string): string => `${RATCHET} ${command}`
