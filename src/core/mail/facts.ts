import { isIP } from 'node:net'
import { fill } from '../languages/languages.ts'
import type { MailWords } from './words.ts'

/** When and from where. The client chooses the user agent, and a proxy can garble the address. */
export interface Circumstances {
  /** Milliseconds since the epoch. */
  at?: number | undefined
  ip?: string | undefined
  userAgent?: string | undefined
}

/** Label and value pairs without what is unknown. Text from the client is never quoted. */
export function describeCircumstances(
  { at, ip, userAgent }: Circumstances,
  words: MailWords,
): [label: string, value: string][] {
  const facts: [string, string][] = []
  if (at !== undefined) facts.push([words.when, describeTime(at)])
  if (ip && isIP(ip)) facts.push([words.ipAddress, ip])
  if (userAgent) facts.push([words.with, describeProgram(userAgent, words)])
  return facts
}

/** `2026-03-01 14:05 UTC` */
export const describeTime = (at: number): string =>
  `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`

// The order matters: a browser's user agent also contains the names of those below it.
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

/** The well-known program and system that a user agent names. */
export const recognizeProgram = (userAgent: string) => ({
  program: PROGRAMS.find(([pattern]) => pattern.test(userAgent))?.[1],
  system: SYSTEMS.find(([pattern]) => pattern.test(userAgent))?.[1],
})

/** Names known programs only: quoting the user agent would let the client put text into the mail. */
function describeProgram(userAgent: string, words: MailWords): string {
  const { program = words.unknownProgram, system } = recognizeProgram(userAgent)
  return system ? fill(words.programOnSystem, { program, system }) : program
}
