import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { TYPESCRIPT } from './compiled/typescript.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

/** Runs the command line as a process of its own, with no other environment than this. Rejects unless it exits with 0. */
export const runRatchet = (args: readonly string[], env: Readonly<Record<string, string>>, cwd?: string) =>
  run(process.execPath, [...TYPESCRIPT, MAIN, ...args], {
    ...(cwd ? { cwd } : {}),
    env: { PATH: process.env.PATH, ...env },
  })
