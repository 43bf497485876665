export const SCENARIOS = [
  'bare',
  'me-warm',
  'me-cold',
  'refresh',
  'refresh-first',
  'refresh-cold',
  'argon2',
  'login',
] as const
export type Scenario = (typeof SCENARIOS)[number]
