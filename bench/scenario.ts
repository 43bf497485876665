export const SCENARIOS = [
  'bare',
  'me-warm',
  'me-cold',
  'refresh',
  'refresh-first',
  'refresh-cold',
  'argon2',
  'login',
  'oauth-client-credentials',
  'oauth-dpop',
  'oauth-introspect',
  'oauth-own-refresh',
  'oauth-refresh',
] as const
export type Scenario = (typeof SCENARIOS)[number]
