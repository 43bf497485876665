import { ConfigError } from '../config.ts'
import { TemplateError } from '../core/languages/languages.ts'
import { isStoreUnavailable } from '../platform/database.ts'
import { DatabaseUnusable } from '../platform/database-check.ts'
import { explain } from '../platform/explain.ts'
import { UsageError } from './commands.ts'
import { EXIT } from './exit.ts'

/** The exit code for an error, and what to print: one line, or the whole error for what looks like a bug. */
export function describeFailure(error: unknown): { code: number; text: unknown } {
  const explained = explain(error)
  const text = typeof explained === 'string' ? oneLine(explained) : explained
  const isWrongUsage = [UsageError, ConfigError, TemplateError].some((kind) => error instanceof kind)
  if (isWrongUsage) return { code: EXIT.wrongUsage, text }
  const isUnavailable = error instanceof DatabaseUnusable || isStoreUnavailable(error)
  return { code: isUnavailable ? EXIT.unavailable : EXIT.notDone, text }
}

/** A heading with a list below it becomes a sentence. */
const oneLine = (text: string) =>
  text
    .replace(/:\n\s*- /, ': ')
    .replace(/\n\s*- /g, '; ')
    .replace(/\s*\n\s*/g, ' ')
    .trim()
