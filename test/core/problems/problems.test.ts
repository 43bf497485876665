import { readFileSync } from 'node:fs'
import t from 'tap'
import { Problem, type ProblemCode, problems } from '../../../src/core/problems/problems.ts'

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const code = /^`(\w+)`\n/.exec(section)?.[1] ?? section.slice(0, 40)
    const [, status = '', title = ''] = /^\*\*(\d{3})\*\* · (.+)$/m.exec(section) ?? []
    return { code, status: Number(status), title, text: section }
  })

t.test('docs/errors.md lists every code with the status and the title that clients get', async (t) => {
  t.strictSame(
    sections.map(({ code, status, title }) => [code, status, title]),
    Object.entries(problems).map(([code, [status, title]]) => [code, status, title]),
  )
})

t.test('docs/errors.md says when each problem happens and what to do about it', async (t) => {
  for (const { code, text } of sections) {
    t.match(text, /^\*\*When\.\*\* \S/m, `${code}: when`)
    t.match(text, /^\*\*Do\.\*\* \S/m, `${code}: what to do`)
  }
})

t.test('a problem has the status of its code', async (t) => {
  for (const [code, [status]] of Object.entries(problems)) {
    const problem = new Problem(code as ProblemCode)
    t.equal(problem.status, status)
    t.equal(problem.message, code)
  }
})
