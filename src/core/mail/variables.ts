import type { MailTemplate } from './mail-data.ts'
import { SAMPLES } from './samples.ts'

/** Those that every text has. */
const COMMON = ['brand', 'support', 'signInUrl']

/** The names of the variables that the text of a mail may use. */
export function variablesOf(template: MailTemplate): string[] {
  const names = SAMPLES[template].flatMap((data) => Object.keys(data))
  const derived = names.flatMap((name) => DERIVED[name] ?? [name])
  return [...new Set([...COMMON, ...derived])].sort()
}

/** The variables that replace a member of the data: what texts cannot say by themselves. */
const DERIVED: Record<string, string[]> = {
  minutes: ['duration'],
  registrations: ['several'],
  // Shown as facts.
  at: [],
  ip: [],
  userAgent: [],
}
