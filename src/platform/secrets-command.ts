import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { type AllVariables, type Environment, type Reader, reader, trimmed } from './environment.ts'
import { misspeltVariables } from './misspelt-variables.ts'
import { VARIABLES, type Variable } from './variables.ts'

/** Reads the secrets again: the whole environment, with what the command prints by now. */
export type ReadAgain = () => Promise<Environment>

export interface SecretsCommand {
  program: string
  args: string[]
}

type Values = Partial<Record<Variable, string>>

// A program that starts an interpreter on a slow machine and asks a service elsewhere needs a few seconds.
const TIMEOUT_MS = 20_000
const MAX_LENGTH = 1_048_576
const MAX_SHOWN = 1_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const KNOWN: ReadonlySet<string> = new Set(VARIABLES)

/** The command failed. No fault shows what it was called with or what it printed. */
export class SecretsCommandFault extends Error {
  override readonly name = 'SecretsCommandFault'
  readonly faults: readonly string[]
  /** What it wrote to standard error. */
  readonly said: string
  constructor(faults: readonly string[], said = '') {
    super(faults.join('; '))
    this.faults = faults
    this.said = said
  }
}

/** Reads SECRETS_COMMAND: words between blanks, or a JSON list of texts. There is no shell. */
export function readSecretsCommand(env: Environment, read: Reader): SecretsCommand | undefined {
  const text = env.SECRETS_COMMAND
  if (!text) return
  const [program, ...args] = text.startsWith('[') ? parseList(text) : text.split(/\s+/)
  const isQuoted = !text.startsWith('[') && /["'`]/.test(text)
  if (program && !isQuoted && ![program, ...args].some((word) => word.includes('\0')))
    return { program, args }
  read.fault(
    'SECRETS_COMMAND must be a program and its arguments, separated by blanks and without quotes, or a JSON list of them',
  )
  return
}

function parseList(text: string): string[] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) && list.every((word) => typeof word === 'string') ? list : []
  } catch {
    return []
  }
}

/** The environment with what its SECRETS_COMMAND prints, if it has one. Faults are reported to `read`. */
export async function addSecrets(env: AllVariables, read: Reader): Promise<AllVariables> {
  const given = trimmed(env)
  const command = readSecretsCommand(given, read)
  if (!command) return env
  try {
    const values = await runSecretsCommand(command)
    for (const name of Object.keys(values) as Variable[]) {
      if (given[name])
        read.fault(`${name} is set in the environment and by SECRETS_COMMAND: remove one of the two`)
    }
    return { ...env, ...values }
  } catch (error) {
    if (!(error instanceof SecretsCommandFault)) throw error
    for (const fault of error.faults) read.fault(error.said ? `${fault}: ${error.said}` : fault)
    return env
  }
}

/** Reads a setting from what the command prints by now. @throws {SecretsCommandFault} */
export function readWith<T>(env: Environment, readSetting: (env: Environment, read: Reader) => T): T {
  const trimmedEnv = trimmed(env)
  const read = reader(trimmedEnv)
  const setting = readSetting(trimmedEnv, read)
  if (read.faults.length > 0) throw new SecretsCommandFault(read.faults)
  return setting
}

/**
 * Runs the command each time, once at a time: callers that come meanwhile get the same answer. Undefined without one.
 * @param env the environment with what it has printed before.
 */
export function readSecretsAgain(env: Environment, read: Reader): ReadAgain | undefined {
  const command = readSecretsCommand(env, read)
  if (!command) return
  let running: Promise<Values> | undefined
  return async () => {
    running ??= runSecretsCommand(command).finally(() => {
      running = undefined
    })
    return { ...env, ...(await running) }
  }
}

/**
 * Runs the command with the environment of this process, and reads the JSON object of variables that it prints.
 * @throws {SecretsCommandFault}
 */
export async function runSecretsCommand(
  { program, args }: SecretsCommand,
  timeoutMs = TIMEOUT_MS,
): Promise<Values> {
  return readValues(await outputOf(program, args, timeoutMs))
}

/** What the program prints. It and all that it starts are a group of processes of their own, which can be ended. */
function outputOf(program: string, args: string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const refuse = (fault: string, said = '') =>
      reject(new SecretsCommandFault([`SECRETS_COMMAND ${fault}`], said))
    const child = start(program, args)
    if (child instanceof Error) return refuse(cannotStart(child))
    child.on('error', (error) => refuse(cannotStart(error)))
    // Without file descriptors it has no streams, and never closes.
    if (!child.pid) return
    const kill = () => killGroup(child.pid)
    const stop = (fault: string) => {
      refuse(fault)
      kill()
    }
    const timer = setTimeout(() => stop(`did not end within ${timeoutMs / 1_000} seconds`), timeoutMs)
    const release = outliveNot(kill)
    const tooMuch = () => stop('prints more than 1 MiB')
    const stdout = collect(child.stdout, tooMuch)
    const stderr = collect(child.stderr, tooMuch)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      release()
      if (code === 0) resolve(stdout())
      else refuse(signal ? `was ended by ${signal}` : `ended with exit code ${code}`, oneLine(stderr()))
    })
  })
}

/** Kills it when this process ends, also by a signal that nothing else handles. Returns what undoes that. */
function outliveNot(kill: () => void): () => void {
  const end = (signal: NodeJS.Signals) => {
    // A server that drains may still need what the command prints.
    if (process.listenerCount(signal) > 0) return
    kill()
    process.kill(process.pid, signal)
  }
  process.once('exit', kill)
  for (const signal of SIGNALS) process.once(signal, end)
  return () => {
    process.off('exit', kill)
    for (const signal of SIGNALS) process.off(signal, end)
  }
}

function start(program: string, args: string[]) {
  try {
    return spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    return error as Error
  }
}

const cannotStart = ({ code }: NodeJS.ErrnoException) => `cannot be started (${code})`

function killGroup(pid: number | undefined): void {
  if (!pid) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function collect(stream: Readable, tooMuch: () => void): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length + chunk.length > MAX_LENGTH) {
      stream.destroy()
      tooMuch()
    } else text += chunk
  })
  return () => text
}

/** One line for an operator, without the control characters that could change a terminal. */
const oneLine = (stderr: string): string =>
  stderr
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, MAX_SHOWN)

function readValues(output: string): Values {
  let values: Readonly<Record<string, unknown>> | undefined
  try {
    values = JSON.parse(output)
  } catch {}
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new SecretsCommandFault(['SECRETS_COMMAND does not print one JSON object'])
  const faults = Object.entries(values).flatMap(([name, value], index) => {
    if (name === 'SECRETS_COMMAND') return ['SECRETS_COMMAND must not be in what it prints']
    if (!KNOWN.has(name)) {
      // The name itself is not shown: it is part of what the command printed.
      const [misspelt] = misspeltVariables({ [name]: 'set' })
      const hint = misspelt ? `: was ${misspelt.meant} meant?` : ''
      return [`SECRETS_COMMAND prints as name ${index + 1} none of this server's variables${hint}`]
    }
    return typeof value === 'string' ? [] : [`SECRETS_COMMAND: the value of ${name} must be a text`]
  })
  if (faults.length > 0) throw new SecretsCommandFault(faults)
  return values as Values
}
