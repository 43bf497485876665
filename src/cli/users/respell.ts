import { listLeftBehind, type RespellingUses, respellAddresses } from '../../core/respelling/respelling.ts'
import { openUsers } from '../../core/users/users.ts'
import { systemClock } from '../../platform/clock.ts'
import { called } from '../../platform/command.ts'
import { openDatabase } from '../../platform/database.ts'
import type { DatabaseTarget } from '../../platform/database-login.ts'
import { createTransact } from '../../platform/transact.ts'
import { EXIT } from '../exit.ts'
import { isRead, line } from '../output.ts'

/** Brings every stored address over to its canonical spelling, and lists the accounts for which that is impossible. */
export async function respell(uses: RespellingUses, { json }: { json: boolean }): Promise<void> {
  await respellAddresses(uses)
  let left = 0
  for await (const account of listLeftBehind(uses)) {
    left += 1
    const { id, email, reason, takenBy } = account
    const why = reason === 'taken' ? `its address belongs to ${takenBy}` : 'not an e-mail address'
    if (isRead())
      console.log(json ? JSON.stringify({ id, email, reason, taken_by: takenBy }) : line([id, email, why]))
  }
  if (left > 0) process.exitCode = EXIT.notDone
  else if (!json) console.error('every address has its one spelling')
}

/** The same as a step of the migration, which a few accounts must not stop: it only says how many there are. */
export async function respellStored(database: DatabaseTarget, log: (line: string) => void): Promise<void> {
  const { db, close } = openDatabase({ ...database, poolSize: 1 })
  const uses = { db, transact: createTransact(db), users: openUsers({ clock: systemClock }) }
  try {
    const changed = await respellAddresses(uses)
    if (changed > 0)
      log(`${changed} ${changed === 1 ? 'address was' : 'addresses were'} brought over to one spelling`)
    let left = 0
    for await (const _ of listLeftBehind(uses)) left += 1
    if (left > 0)
      log(
        `warning: ${left} ${left === 1 ? 'account needs' : 'accounts need'} an operator: ${called('users respell')}`,
      )
  } finally {
    await close()
  }
}
