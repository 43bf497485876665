import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { repeatFailures } from './failures.ts'

async function repeated(printed: string): Promise<string> {
  const to = new PassThrough()
  const all = text(to)
  await repeatFailures(Readable.from([printed]), to)
  to.end()
  t.ok((await all).startsWith(printed), 'everything is passed on')
  return (await all).slice(printed.length)
}

t.test('what failed is repeated at the end, with its file and its details', async (t) => {
  const printed = `# Subtest: test/first.test.ts
    ok 1 - fine
      ---
      at: here
      ...
    not ok 2 - wrong
      ---
      diff: one
      ...
    not ok 3 - not yet # TODO
    1..3
not ok 1 - test/first.test.ts # time=1ms

# Subtest: test/second.test.ts
    not ok 1 - without details
ok 2 - test/second.test.ts
`
  t.equal(
    await repeated(printed),
    `
# What failed:
# test/first.test.ts
    not ok 2 - wrong
      ---
      diff: one
      ...
# test/first.test.ts
not ok 1 - test/first.test.ts # time=1ms
# test/second.test.ts
    not ok 1 - without details
`,
  )
})

t.test('in a group, the file is the one within it', async (t) => {
  const printed = `# Subtest: .tap/groups-abc/01.mjs
    # Subtest: test/first.test.ts
        # Subtest: a test in it
            not ok 1 - wrong
        not ok 1 - a test in it
    not ok 1 - test/first.test.ts
    # Subtest: test/second.test.ts
        ok 1 - fine
    ok 2 - test/second.test.ts
not ok 1 - .tap/groups-abc/01.mjs
`
  const failed = (await repeated(printed)).split('\n').filter((line) => line.startsWith('# test/'))
  t.strictSame(failed.slice(0, 3), Array(3).fill('# test/first.test.ts'))
})

t.test('nothing is added when all is well', async (t) => {
  t.equal(await repeated('ok 1 - fine\n1..1\n'), '')
})
