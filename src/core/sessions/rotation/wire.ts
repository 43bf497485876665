/**
 * The names that the Redis scripts and their caller share, each list in the order of transmission. Neither side counts
 * positions: the script gets its arguments as local variables with these names, the caller its reply as an object.
 */
export const ROTATE_ARGUMENTS = [
  'presented',
  'attempt',
  'presenter',
  'authenticated',
  'proven',
  'presenter_home',
  'late_ms',
  'grace_ms',
  'idle_ttl_ms',
  'fallback_incarnation',
  'deadline',
  'waited_ms',
  'look',
] as const

export const MARK_ARGUMENTS = ['fallback_incarnation', 'deadline'] as const

/** A family as the ledger has it, and the mark that was set before the ledger was read. */
export const LEDGER_FAMILY = [
  'mark',
  'generation',
  'rotated_at',
  'reissues',
  'credits',
  'clean',
  'attempts',
  'idle_expires_at',
  'absolute_expires_at',
  'client',
  'binding',
  'home',
  'turns',
  'claims',
] as const

export const TOMBSTONE_ARGUMENTS = ['reason', 'absolute_expires_at'] as const

/** When a token is issued, the value after the outcome: one string, which costs less to read, with a line for each. */
export const ISSUED_REPLY = [
  'generation',
  'rotated_at',
  'idle_expires_at',
  'absolute_expires_at',
  'claims',
  'credits',
  'clean',
  'attempts',
  'home',
  'turns',
] as const

/** What a look at a live family answers, in the same form. */
export const LIVE_REPLY = ['idle_expires_at', 'absolute_expires_at', 'claims'] as const

/** The fields of a family's hash. Those of the operator's own client have no `client`. */
export const FAMILY_FIELDS = [
  'ended',
  'incarnation',
  'generation',
  'rotated_at',
  'reissues',
  'credits',
  'clean',
  'attempts',
  'idle_expires_at',
  'absolute_expires_at',
  'client',
  'claims',
  'recorded',
  'merge',
] as const

/** What the hash of a third party's family has besides. */
export const CLIENT_FIELDS = ['binding', 'home', 'turns'] as const

type Value = string | number

/** Puts named values into the order of a list. */
export function toArguments<const Names extends readonly string[]>(
  names: Names,
  values: Readonly<Record<Names[number], Value>>,
): Value[] {
  return names.map((name) => values[name as Names[number]])
}

/** The index of each name in a list. */
export const positionsIn = <const Names extends readonly string[]>(
  names: Names,
): Readonly<Record<Names[number], number>> =>
  Object.fromEntries(names.map((name, index) => [name, index])) as Record<Names[number], number>

/** Lua: the arguments of a script as local variables. */
export const luaArguments = (names: readonly string[]): string => `local ${names.join(', ')} = unpack(ARGV)`

/** Lua: the arguments after the first `skipped` ones as a table. */
export function luaArgumentTable(table: string, names: readonly string[], skipped: number): string {
  const reads = names.map((name, index) => `${name} = ARGV[${skipped + index + 1}]`)
  return `local ${table} = { ${reads.join(', ')} }`
}

/** Lua: the local variables with these names as the lines of one string. */
export const luaLines = (names: readonly string[]): string => `table.concat({ ${names.join(', ')} }, '\\n')`

/** Lua: the named fields of the hash `key` as a table. */
export function luaReadFields(
  table: string,
  fields: readonly (typeof FAMILY_FIELDS | typeof CLIENT_FIELDS)[number][],
): string {
  const reads = fields.map((field, index) => `${field} = values[${index + 1}]`)
  return `local values = redis.call('HMGET', key, ${fields.map((field) => `'${field}'`).join(', ')})
local ${table} = { ${reads.join(', ')} }`
}
