import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runCommand } from '../../src/cli/run.ts'
import { TYPESCRIPT } from './compiled/typescript.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

/** Runs the command line as a process of its own, with no other environment than this. Rejects unless it exits with 0. */
export const startRatchet = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
  signal?: AbortSignal,
) =>
  run(process.execPath, [...TYPESCRIPT, MAIN, ...args], {
    ...(cwd ? { cwd } : {}),
    // Sends SIGTERM.
    ...(signal ? { signal } : {}),
    env: { PATH: process.env.PATH, ...env },
  })

/**
 * The same in this process, because the start of one takes ten times as long as a command. Not in parallel: it replaces
 * the console and the environment.
 */
export async function runRatchet(args: readonly string[], env: Readonly<Record<string, string>>) {
  const { log, error } = console
  const { env: environment, exitCode } = process
  const printed = { stdout: '', stderr: '' }
  console.log = (line: unknown) => {
    printed.stdout += `${line}\n`
  }
  console.error = (line: unknown) => {
    printed.stderr += `${line}\n`
  }
  process.env = { ...env }
  try {
    const code = (await runCommand(args)) ?? process.exitCode ?? 0
    if (code !== 0)
      throw Object.assign(new Error(`exit code ${code}: ${printed.stderr}`), { code, ...printed })
    return printed
  } finally {
    Object.assign(console, { log, error })
    Object.assign(process, { env: environment, exitCode })
  }
}
