import { type FileHandle, open } from 'node:fs/promises'
import { loadOwnConfig } from '../../config.ts'
import { requireMigrations } from '../../platform/migrations.ts'
import { createSecrets } from '../../platform/secrets.ts'
import { UsageError } from '../commands.ts'
import { EXIT } from '../exit.ts'
import { hashOf } from './account-line.ts'
import { openAdminContext } from './admin-context.ts'
import { type ImportOptions, importBatch, type ReadLine } from './import-batch.ts'
import { type ImportReport, type LineOutcome, openReport } from './import-report.ts'
import { type Line, readLines } from './lines.ts'
import { LineFault, type LineLimits, readLine } from './read-line.ts'

/** Written in one transaction. */
const BATCH = 500
interface ImportCall {
  /** `-` for standard input. */
  file: string
  flags: ReadonlySet<string>
  /** Where to list the lines that were not imported; standard error without it. */
  report: string | undefined
}

/** Imports accounts from a file with one JSON object per line; `docs/import.md` describes it. */
export async function importUsers({ file, flags, report: reportFile }: ImportCall): Promise<void> {
  const config = await loadOwnConfig()
  await requireMigrations(config.database)
  // Opened before anything is written, so that a wrong name changes nothing.
  const input = file === '-' ? process.stdin : (await openInput(file)).createReadStream()
  const report = await openReport(reportFile)
  const context = openAdminContext(config.database)
  const secrets = createSecrets(config.appSecrets)
  const options = {
    context,
    secrets,
    report,
    isDryRun: flags.has('dry-run'),
    overwrite: flags.has('overwrite'),
  }
  try {
    if (!options.isDryRun) {
      const event = { type: 'account_import', outcome: 'success', actor: context.actor } as const
      await context.events.record(context.db, event, context.requestContext)
    }
    await importLines(options, readLines(input), config)
  } finally {
    await report.close().finally(context.close)
  }
  console.log(describe(report.counts, options.isDryRun))
  if (report.counts.refused + report.counts.differs > 0) process.exitCode = EXIT.notDone
}

async function openInput(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file)
    if ((await handle.stat()).isDirectory()) throw new Error('it is a folder')
    return handle
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** @throws with the number of the last line that is done, so that the operator knows that a second run continues. */
async function importLines(
  options: ImportOptions,
  lines: AsyncIterable<Line>,
  limits: LineLimits,
): Promise<void> {
  let done = 0
  let batch: ReadLine[] = []
  let taken = new Set<string>()

  async function flush(): Promise<void> {
    if (batch.length > 0) await importBatch(options, batch)
    done = batch.at(-1)?.number ?? done
    batch = []
    taken = new Set()
  }

  try {
    for await (const line of lines) {
      const said = await readOrRefuse(line, limits, options.report)
      if (!said) continue
      const keys = [said.email, ...(said.id ? [said.id] : [])]
      // A line that contradicts an earlier one is compared with what that one has written.
      if (batch.length >= BATCH || keys.some((key) => taken.has(key))) await flush()
      batch.push({ number: line.number, said, hash: hashOf(said) })
      for (const key of keys) taken.add(key)
    }
    await flush()
  } catch (error) {
    console.error(`stopped; everything up to line ${done} is done, and a second run continues after it`)
    throw error
  }
}

async function readOrRefuse(line: Line, limits: LineLimits, report: ImportReport) {
  try {
    if (line.text === undefined) throw new LineFault(line.fault)
    return readLine(line.text, limits)
  } catch (error) {
    if (!(error instanceof LineFault)) throw error
    await report.add(line.number, 'refused', error.message)
    return null
  }
}

function describe(counts: Readonly<Record<LineOutcome, number>>, isDryRun: boolean): string {
  const { imported, overwritten, unchanged, differs, refused } = counts
  const parts = [
    `${imported} imported`,
    ...(overwritten > 0 ? [`${overwritten} overwritten`] : []),
    `${unchanged} unchanged`,
    `${differs} differ from their accounts`,
    `${refused} refused`,
  ]
  return `${isDryRun ? 'dry run, nothing was written: ' : ''}${parts.join(', ')}`
}
