import { userInfo } from 'node:os'
import { users } from '../../src/cli/users.ts'

/** The actor that the command line records. */
export const operator = `command line (${userInfo().username})`

/** Runs `ratchet users …` in this process and returns what it prints. @throws the error it ends with. */
export function usersCommand(databaseUrl: string) {
  process.env.DATABASE_URL = databaseUrl
  return async (...args: string[]): Promise<string> => {
    const { log } = console
    let printed = ''
    console.log = (line: unknown) => {
      printed += `${line}\n`
    }
    try {
      await users(args)
    } finally {
      console.log = log
    }
    return printed
  }
}

export const jsonLines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
