import { readFile } from 'node:fs/promises'
import t from 'tap'
import { COMMANDS, help, parseCall } from '../../src/cli/commands.ts'

const page = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8')
const sections = page.split(/^### /m).slice(1)

t.test('docs/command-line.md describes every command as --help does, in its order', async (t) => {
  const described = sections.map((section) => {
    const [, call, text = ''] = /^`([^`]+)`\n\n(.+)\n/.exec(section) ?? []
    return [call, text]
  })
  t.strictSame(
    described.map(([call]) => call),
    COMMANDS.map(([call]) => call),
  )
  for (const [index, [call, does]] of COMMANDS.entries()) {
    const sentence = `${does[0]?.toUpperCase()}${does.slice(1)}.`
    t.ok(described[index]?.[1]?.startsWith(sentence), `${call}: ${sentence}`)
    t.ok(help().includes(`  ${call}\n      ${does}\n`), `--help: ${call}`)
  }
})

t.test('every command has an example that it accepts', async (t) => {
  for (const [index, [call]] of COMMANDS.entries()) {
    const [, group = '', rest = ''] = /^```\n\$ ratchet (\w+)(.*)\n/m.exec(sections[index] ?? '') ?? []
    const { action } = parseCall(group, rest.split(' ').filter(Boolean))
    t.ok(call.startsWith(action === group ? group : `${group} ${action}`), call)
  }
})

t.test('the arguments and options of a command are read in any order', async (t) => {
  const found = parseCall('users', ['--limit', '5', 'list', '--json', 'ann'])
  t.strictSame(found, { action: 'list', about: 'ann', flags: new Set(['json']), values: { limit: '5' } })
  t.match(parseCall('users', ['list']), { about: undefined, values: {} })
  t.match(parseCall('users', ['show', '--', '-ann@example.com']), { about: '-ann@example.com' })
  t.match(parseCall('users', ['delete', '-ann@example.com', '--yes']), { about: '-ann@example.com' })
  t.match(parseCall('keys', ['retire', '-c_ZTiFW9U']), { about: '-c_ZTiFW9U' })
  t.throws(() => parseCall('keys', ['retire', '-x']), { message: /-x/ })
  t.match(parseCall('migrate', ['--check']), { action: 'migrate', flags: new Set(['check']) })
})

t.test('what a command does not take is refused, with how to call it', async (t) => {
  const cases: [group: string, args: string[], message: RegExp][] = [
    ['users', [], /^what is missing: one of list, show, /],
    ['users', ['forget', 'x'], /^"forget" is not one of list, show, /],
    ['users', ['constructor'], /^"constructor" is not one of /],
    ['users', ['show'], /^usage: .* users show <account> \[--json\]$/],
    ['users', ['show', ''], /^usage: .* users show /],
    ['users', ['show', 'a', 'b'], /^usage: .* users show /],
    ['users', ['list', 'a', 'b'], /^usage: .* users list \[<part>\]/],
    ['users', ['list', '--yes'], /^usage: .* users list /],
    ['users', ['disable', 'a', '--json'], /^usage: .* users disable <account>$/],
    ['users', ['list', '--everything'], /^Unknown option '--everything'$/],
    ['users', ['list', '--limit'], /--limit/],
    ['keys', ['rotate', '--json'], /^usage: .* keys rotate \[--now\] \[--alg <alg>\]$/],
    ['keys', ['retire'], /^usage: .* keys retire <kid>$/],
    ['mail', ['suppressed', 'x'], /^usage: .* mail suppressed \[--json\]$/],
    ['migrate', ['now'], /^usage: .* migrate \[--check\] \[--json\]$/],
  ]
  for (const [group, args, message] of cases) {
    t.throws(() => parseCall(group, args), { name: 'UsageError', message }, [group, ...args].join(' '))
  }
})
