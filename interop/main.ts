// The entry point of `npm run interop`: what clients and libraries that others wrote do with this server.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { LINES, type Line } from './lines.ts'

type Result = 'works' | 'fails' | 'cannot run yet'

const read = async (path: string) => JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8'))
const { devDependencies } = await read('../package.json')
const results = await runAll()
const matrix = toMarkdown(results)
console.log(matrix)
await writeFile(new URL('../docs/interop.md', import.meta.url), matrix)
if ([...results.values()].includes('fails')) process.exitCode = 1

/** Runs each test file once; the machine may be small, so one after the other. */
async function runAll(): Promise<ReadonlyMap<Line, Result>> {
  const passed = new Map<string, string[]>()
  for (const file of new Set(LINES.flatMap(({ proof }) => proof?.file ?? []))) {
    console.log(`running ${file}`)
    passed.set(file, passedIn(await run(file)))
  }
  const resultOf = ({ proof }: Line): Result => {
    if (!proof) return 'cannot run yet'
    return passed.get(proof.file)?.some((title) => title.startsWith(proof.title)) ? 'works' : 'fails'
  }
  return new Map(LINES.map((line) => [line, resultOf(line)]))
}

function run(file: string): Promise<string> {
  const args = ['--import', 'tsx', 'test/support/run.ts', '--reporter=tap', file]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { maxBuffer: 2 ** 26 }, (_error, stdout) => resolve(stdout))
  })
}

/** The titles of the tests of a file that passed, in TAP; a skipped one did not run. */
function passedIn(tap: string): string[] {
  const titles = [...tap.matchAll(/^ {4}ok \d+ - (.*)$/gm)].map(([, title = '']) => title)
  return titles.filter((title) => !/# SKIP/i.test(title))
}

function toMarkdown(results: ReadonlyMap<Line, Result>): string {
  const rows = [...results].map(([{ library, packageName, what }, result]) => {
    const version = packageName ? devDependencies[packageName] : ''
    return `| ${library} | ${version} | ${what} | ${result} |`
  })
  return `# Clients that others wrote

What unmodified clients and libraries do with this server. \`npm run interop\` writes this page; a line that cannot run yet says so. The lines that work are also part of \`npm test\`.

Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}.

| library | version | what | result |
|---|---|---|---|
${rows.join('\n')}
`
}
