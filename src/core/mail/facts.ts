import { isIP } from 'node:net'

/** When and from where. A stranger chooses the user agent, and a proxy can garble the address. */
export interface Circumstances {
  /** Milliseconds since the epoch. */
  at?: number | undefined
  ip?: string | undefined
  userAgent?: string | undefined
}

/** As label and value, leaving out what is unknown. Nothing a stranger wrote is ever quoted. */
export function describeCircumstances({
  at,
  ip,
  userAgent,
}: Circumstances): [label: string, value: string][] {
  const facts: [string, string][] = []
  if (at !== undefined) facts.push(['When', describeTime(at)])
  if (ip && isIP(ip)) facts.push(['From the address', ip])
  if (userAgent) facts.push(['With', describeProgram(userAgent)])
  return facts
}

/** `2026-03-01 14:05 UTC` */
export const describeTime = (at: number): string =>
  `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`

// In order: a later browser's user agent contains the earlier ones' names.
const PROGRAMS = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
] as const
const SYSTEMS = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
] as const

/** Names only programs it knows: a user agent quoted in a mail would let its sender write into the mail. */
function describeProgram(userAgent: string): string {
  const program = PROGRAMS.find(([pattern]) => pattern.test(userAgent))?.[1] ?? 'an unknown program'
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent))?.[1]
  return system ? `${program} on ${system}` : program
}
